import { useColorScheme } from 'react-native';

/** Colours by what they are for; every pair of text and ground has a contrast of 4.5 or more. */
export interface Theme {
  readonly ground: string;
  readonly card: string;
  readonly line: string;
  readonly text: string;
  readonly dim: string;
  readonly accent: string;
  readonly onAccent: string;
  readonly tint: string;
  readonly good: string;
  readonly goodTint: string;
  readonly warn: string;
  readonly warnTint: string;
}

const light: Theme = {
  ground: '#f6f7f5',
  card: '#ffffff',
  line: '#dde2dd',
  text: '#161d18',
  dim: '#545e57',
  accent: '#1b6b4a',
  onAccent: '#ffffff',
  tint: '#e2efe7',
  good: '#1b6b4a',
  goodTint: '#d5ecdf',
  warn: '#8a4b00',
  warnTint: '#fdebd3',
};

const dark: Theme = {
  ground: '#0f1411',
  card: '#181f1a',
  line: '#2d3730',
  text: '#e6ece7',
  dim: '#a3afa6',
  accent: '#86d3a9',
  onAccent: '#00301c',
  tint: '#22352b',
  good: '#86d3a9',
  goodTint: '#1d3a2b',
  warn: '#f5bd7a',
  warnTint: '#3d2b14',
};

export function useTheme(): Theme {
  return useColorScheme() === 'dark' ? dark : light;
}
