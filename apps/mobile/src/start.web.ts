import { registerRootComponent } from 'expo';
import { createElement } from 'react';
import { App } from './app';
import { demoOf, sceneOf } from './demo/scenes';

/** In a browser the screens show a phone that is made up: which one, the address says (`?scene=serving&tab=serve`). */
const { tab, scene } = sceneOf(location.search);

registerRootComponent(() => createElement(App, { openPhone, firstTab: tab }));

async function openPhone(): Promise<ReturnType<typeof demoOf>> {
  return demoOf(scene);
}
