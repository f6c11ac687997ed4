import { View } from 'react-native';
import type { PhoneModel } from '../models/catalogue';
import type { ModelState } from '../models/model-shelf';
import { Bar, Body, Button, Card, Notice, Page, Reading } from './parts';
import type { Phone } from './phone';

/** Which model the phone runs, and what is on its way. */
export function ModelsScreen({ phone }: { readonly phone: Phone }) {
  const { host, shelf } = phone;
  const { settings } = host.view;
  return (
    <Page title="Models">
      <Body dim>
        One model is served at a time. Each is fetched once, compared with its fingerprint, and kept on this phone.
      </Body>
      <Card>
        <Reading name="Free on this phone" value={`${(shelf.freeMegabytes / 1024).toFixed(1)} GB`} />
      </Card>
      {shelf.models.map(({ model, state }) => (
        <Model key={model.id} model={model} state={state} isChosen={settings.model === model.id} phone={phone} />
      ))}
    </Page>
  );
}

interface ModelProps {
  readonly model: PhoneModel;
  readonly state: ModelState;
  readonly isChosen: boolean;
  readonly phone: Phone;
}

function Model({ model, state, isChosen, phone: { host, shelf } }: ModelProps) {
  const { id, title, about, megabytes, engine, licence, quant } = model;
  const { downloadsOnCellular } = host.view.settings;
  const choose = (): void => void host.choose({ model: id });
  const fetchIt = (): void => {
    choose();
    void shelf.fetch(id, downloadsOnCellular);
  };
  return (
    <Card title={title}>
      <Body>{about}</Body>
      <Reading name="Size" value={`${megabytes} MB`} />
      <Reading name="Runs by" value={`${engine === 'cactus' ? 'Cactus' : 'llama.cpp'}, ${quant}`} />
      <Reading name="Licence" value={licence} />
      <Progress state={state} title={title} />
      {state.kind === 'failed' && <Notice text={state.message} isProblem />}
      {isChosen && state.kind === 'ready' && <Notice text="This phone serves this model." />}
      <View style={{ gap: 8 }}>
        {(state.kind === 'absent' || state.kind === 'failed') && (
          <Button label={`Fetch ${title}`} text="Fetch" kind="tonal" onPress={fetchIt} />
        )}
        {state.kind === 'fetching' && (
          <Button label={`Pause fetching ${title}`} text="Pause" kind="tonal" onPress={() => void shelf.pause(id)} />
        )}
        {state.kind === 'paused' && <Button label={`Go on fetching ${title}`} text="Go on" onPress={fetchIt} />}
        {state.kind === 'ready' && !isChosen && <Button label={`Serve ${title}`} text="Serve" onPress={choose} />}
        {(state.kind === 'ready' || state.kind === 'paused') && !(isChosen && host.view.settings.isOn) && (
          <Button label={`Remove ${title}`} text="Remove" kind="text" onPress={() => shelf.remove(id)} />
        )}
      </View>
    </Card>
  );
}

function Progress({ state, title }: { readonly state: ModelState; readonly title: string }) {
  if (state.kind === 'checking') return <Notice text="The file is compared with what it must be." />;
  if (state.kind !== 'fetching' && state.kind !== 'paused') return null;
  const { bytes, total } = state;
  const pause = state.kind === 'fetching' ? '' : state.waitsForWifi === true ? ', waits for Wi-Fi' : ', paused';
  const megabytes = (count: number): number => Math.round(count / 1_048_576);
  return (
    <View style={{ gap: 6 }}>
      <Bar fraction={total > 0 ? bytes / total : 0} label={`${title} fetched`} />
      <Body dim>{`${megabytes(bytes)} of ${megabytes(total)} MB${pause}`}</Body>
    </View>
  );
}
