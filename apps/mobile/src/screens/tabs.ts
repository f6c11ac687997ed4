/** The screens. */
export const tabs = ['serve', 'pair', 'models', 'settings'] as const;
export type Tab = (typeof tabs)[number];

export const tabTitles: Readonly<Record<Tab, string>> = {
  serve: 'Serve',
  pair: 'Pair',
  models: 'Models',
  settings: 'Settings',
};
