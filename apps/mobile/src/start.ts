import { registerRootComponent } from 'expo';
import { createElement } from 'react';
import { AppRegistry, PermissionsAndroid, Platform } from 'react-native';
import { App } from './app';
import { thisPhone } from './host/this-phone';

/** The task of the foreground service: while it lasts, timers run with the screen off. The service ends it. */
AppRegistry.registerHeadlessTask('LfoHost', () => async () => {
  const { host } = await thisPhone();
  // Started with the phone, though its owner had stopped it before.
  if (!host.view.settings.isOn) return await host.stop();
  await new Promise<never>(() => {});
});

registerRootComponent(() => createElement(App, { openPhone }));

async function openPhone(): ReturnType<typeof thisPhone> {
  // The notification with its Stop button; serving goes on without the permission, unseen.
  if (Platform.OS === 'android' && Platform.Version >= 33)
    await PermissionsAndroid.request('android.permission.POST_NOTIFICATIONS');
  return await thisPhone();
}
