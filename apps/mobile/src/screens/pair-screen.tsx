import { useEffect, useRef, useState } from 'react';
import { StyleSheet, Text, View } from 'react-native';
import { CodeScanner } from './code-scanner';
import { Body, Button, Card, Code, Field, Notice, Page, Reading } from './parts';
import type { FoundRouter, Phone } from './phone';
import { linkSentence, linkWord, pairingSentence } from './serve-state';
import { useTheme } from './theme';

/** Two sides become known to each other: by a scanned code, a typed one, or the other way round. */
export function PairScreen({ phone, link }: { readonly phone: Phone; readonly link: string | undefined }) {
  const theme = useTheme();
  const { host } = phone;
  const { view } = host;
  const [code, setCode] = useState(link ?? '');
  const [address, setAddress] = useState('');
  const [isScanning, setScanning] = useState(false);
  const [outcome, setOutcome] = useState<string | undefined>(undefined);
  const [found, setFound] = useState<readonly FoundRouter[]>([]);
  useEffect(() => phone.discover(setFound), [phone]);

  const isTrying = useRef(false);

  const pair = async (text: string, at: string): Promise<void> => {
    setScanning(false);
    // A code is good for one use: a second try beside the first would be refused.
    if (isTrying.current) return;
    isTrying.current = true;
    setOutcome('trying');
    let result: string | undefined;
    try {
      result = await host.pair(text, at);
    } finally {
      isTrying.current = false;
      setOutcome(result);
    }
    if (result === 'paired') setCode('');
  };
  const scanned = (text: string): void => {
    setCode(text);
    void pair(text, address);
  };
  return (
    <Page title="Pair">
      {outcome === 'trying' && <Notice text="Asking the router." />}
      {outcome !== undefined && outcome !== 'trying' && (
        <Notice text={pairingSentence(outcome)} isProblem={outcome !== 'paired'} />
      )}
      <Card title="With a router">
        <Body dim>On the machine that runs LFO:</Body>
        <Code text="lfo devices pair" />
        <Body dim>It shows a picture to scan and a code to type, good for five minutes.</Body>
        {isScanning ? (
          <CodeScanner onCode={scanned} />
        ) : (
          <Button label="Scan the code" onPress={() => setScanning(true)} />
        )}
        {isScanning && <Button label="Stop scanning" kind="text" onPress={() => setScanning(false)} />}
        <Field label="Code or link" value={code} onChange={setCode} placeholder="M2GT-58X4-…" isCode />
        <Field label="Address of the router" value={address} onChange={setAddress} placeholder="192.168.1.10" />
        <Button
          label="Pair"
          kind="tonal"
          disabled={code.trim() === '' || outcome === 'trying'}
          onPress={() => void pair(code, address)}
        />
      </Card>
      <Card title="Routers nearby">
        {found.length === 0 && (
          <Body dim>None has been heard yet. A router is heard once a pairing is open there.</Body>
        )}
        {found.map((router) => (
          <View key={router.address} style={styles.found}>
            <Body>{`${router.name}, ${router.address}${router.isPairing ? ', ready to pair' : ''}`}</Body>
            <Button label={`Use ${router.name}`} kind="tonal" onPress={() => setAddress(router.address)} />
          </View>
        ))}
      </Card>
      <Card title="This phone">
        <Body dim>The router shows the same fingerprint for this phone.</Body>
        <Text selectable style={[styles.print, { color: theme.text }]}>
          {view.fingerprint}
        </Text>
        <Shown phone={phone} />
      </Card>
      {view.routers.length > 0 && (
        <Card title="Paired">
          {view.routers.map((router) => (
            <View key={router.router.id} style={styles.found}>
              <Reading
                name={router.router.name === '' ? 'Router' : router.router.name}
                value={linkWord(router.state)}
              />
              {router.state.kind !== 'connected' && <Body dim>{linkSentence(router)}</Body>}
            </View>
          ))}
        </Card>
      )}
    </Page>
  );
}

/** The other way round: a router that is to dial this phone. */
function Shown({ phone: { host, address } }: { readonly phone: Phone }) {
  const { shown } = host.view;
  const at = address();
  if (shown === undefined)
    return (
      <Button
        label="Let a router dial this phone"
        kind="text"
        hint="For ANDROID_HOST and USB"
        disabled={at === undefined}
        onPress={() => void host.showPairing(at ?? '')}
      />
    );
  return (
    <View style={styles.found}>
      <Body dim>On the router, within five minutes:</Body>
      <Code text={`lfo devices pair --dial ${at ?? ''}:5555 --code ${shown.code}`} />
      <Button label="Do not pair" kind="text" onPress={() => host.endPairing()} />
    </View>
  );
}

const styles = StyleSheet.create({
  found: { gap: 8 },
  print: { fontSize: 19, fontWeight: '600', fontVariant: ['tabular-nums'] },
});
