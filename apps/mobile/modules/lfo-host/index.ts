import { requireOptionalNativeModule } from 'expo-modules-core';

/** The app's own native module (`android/src/main/java/dev/lfo/host`). */
export interface LfoHostModule {
  /** 0 none to 6 shut down; -1 where Android does not tell. */
  thermalStatus(): number;
  /** 1 is where severe throttling begins; NaN where Android does not tell. */
  thermalHeadroom(): number;
  memory(): { readonly freeMb: number; readonly totalMb: number; readonly diskFreeMb: number };
  /** Whether battery optimisation leaves the app alone. */
  isUnrestricted(): boolean;
  /** Android asks the owner for that. */
  askUnrestricted(): void;
  /** Starts the foreground service, or gives its notification another text. */
  show(text: string): void;
  hide(): void;
  setStartsOnBoot(isOn: boolean): void;
  sha256(path: string): Promise<string>;
  unzip(archive: string, folder: string): Promise<void>;
  addListener(event: 'onThermal' | 'onMemory' | 'onStop', listener: () => void): { remove(): void };
}

/** Absent in a browser. */
export const lfoHost = requireOptionalNativeModule<LfoHostModule>('LfoHost');
