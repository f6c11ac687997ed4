import { useEffect, useRef, useState } from 'react';
import { View } from 'react-native';
import { Body, Button, Card, Field, Page, Reading, Steps, Toggle } from './parts';
import type { Phone } from './phone';
import { licences } from './licences';

const percents = [0, 10, 20, 30, 50].map((value) => ({ value, text: value === 0 ? 'Never' : `${value} %` }));
const heats = [
  { value: 2, text: 'Moderate' },
  { value: 3, text: 'Severe' },
  { value: 4, text: 'Critical' },
];
const slots = [1, 2, 3, 4].map((value) => ({ value, text: String(value) }));
const contexts = [2048, 4096, 8192].map((value) => ({ value, text: value.toLocaleString('en') }));

/** What the owner decides: limits first, since they are what makes a phone trustworthy. */
export function SettingsScreen({ phone: { host, background } }: { readonly phone: Phone }) {
  const { settings, routers } = host.view;
  const [name, setName] = useState(settings.name);
  const choose = (changes: Parameters<typeof host.choose>[0]): void => void host.choose(changes);
  const kept = useRef(settings.name);
  const keepName = (): void => {
    const whole = name.trim().slice(0, 64);
    if (whole === '' || whole === kept.current) return;
    kept.current = whole;
    choose({ name: whole });
  };
  const leave = useRef(keepName);
  useEffect(() => void (leave.current = keepName));
  // A field that goes with its screen does not say that it was left.
  useEffect(() => () => leave.current(), []);
  return (
    <Page title="Settings">
      <Card title="Limits">
        <Steps
          label="Rest when the battery is below"
          about="Unplugged only. It goes on 5 % above, or on power."
          value={settings.minBattery}
          steps={percents}
          onChange={(minBattery) => choose({ minBattery })}
        />
        <Steps
          label="Rest when the phone’s heat is"
          about="As Android judges it. What runs is ended at critical heat in any case."
          value={settings.maxThermal}
          steps={heats}
          onChange={(maxThermal) => choose({ maxThermal })}
        />
        <Toggle
          label="Rest in battery saver"
          about="Nothing is answered while it is on."
          value={settings.restsInSaver}
          onChange={(restsInSaver) => choose({ restsInSaver })}
        />
        <Toggle
          label="Serve on mobile data"
          about="Off: on Wi-Fi and cable only."
          value={settings.servesOnCellular}
          onChange={(servesOnCellular) => choose({ servesOnCellular })}
        />
        <Toggle
          label="Fetch models on mobile data"
          about="A model has 300 MB to 1 GB."
          value={settings.downloadsOnCellular}
          onChange={(downloadsOnCellular) => choose({ downloadsOnCellular })}
        />
      </Card>
      <Card title="The phone">
        <Field label="Name, as routers show it at first" value={name} onChange={setName} onEnd={keepName} />
        <Toggle
          label="Start when the phone starts"
          about="Serving begins without anyone opening the app."
          value={settings.startsOnBoot}
          onChange={(startsOnBoot) => choose({ startsOnBoot })}
        />
        {background.isAllowed() ? (
          <Reading name="With the screen off" value="works on" />
        ) : (
          <>
            <Body dim>Android may stop this app once the screen is off, to save battery.</Body>
            <Button
              label="Let it work with the screen off"
              text="Let it work on"
              kind="tonal"
              onPress={() => background.ask()}
            />
          </>
        )}
        <Toggle
          label="Routers may dial this phone"
          about="On TCP port 5555. Only paired routers get further."
          value={settings.listens}
          onChange={(listens) => choose({ listens })}
        />
      </Card>
      <Card title="The model">
        <Steps
          label="Answers at once"
          about="More share the speed. Cactus always gives one."
          value={settings.slots}
          steps={slots}
          onChange={(count) => choose({ slots: count })}
        />
        <Steps
          label="Context, in tokens"
          about="Longer prompts need more memory."
          value={settings.contextTokens}
          steps={contexts}
          onChange={(contextTokens) => choose({ contextTokens })}
        />
      </Card>
      <Card title="Routers">
        {routers.length === 0 && <Body dim>No router is paired.</Body>}
        {routers.map(({ router }) => (
          <View key={router.id} style={{ gap: 4 }}>
            <Body>{router.name === '' ? router.id : router.name}</Body>
            <Button
              label={`Unpair ${router.name === '' ? router.id : router.name}`}
              text="Unpair"
              kind="text"
              hint="Both sides forget each other"
              onPress={() => void host.unpair(router.id)}
            />
          </View>
        ))}
      </Card>
      <Card title="Licences">
        {licences.map(({ name, licence }) => (
          <Body key={name} dim>{`${name}: ${licence}`}</Body>
        ))}
      </Card>
    </Page>
  );
}
