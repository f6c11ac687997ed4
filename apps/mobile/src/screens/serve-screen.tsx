import { StyleSheet, Text, View } from 'react-native';
import type { AnswerNote } from '../engines/observed-model';
import { Bar, Body, Button, Card, Page, Reading } from './parts';
import type { Phone } from './phone';
import { heatWord, serveState, type NextStep } from './serve-state';
import { StatePicture } from './state-picture';
import { useTheme } from './theme';
import type { Tab } from './tabs';

const labels: Readonly<Record<NextStep, string>> = {
  start: 'Start serving',
  stop: 'Stop serving',
  models: 'Go to Models',
  pair: 'Pair with a router',
  resume: 'Go on serving',
  retry: 'Try again now',
  settings: 'Limits in Settings',
};

/** How the phone does: one word, one sentence, one next step; then the figures. */
export function ServeScreen({ phone, open }: { readonly phone: Phone; readonly open: (tab: Tab) => void }) {
  const theme = useTheme();
  const { host, shelf } = phone;
  const { view } = host;
  const { settings, machine, active, queued, decodeRate, notes, answered } = view;
  const state = serveState(view, shelf.stateOf(settings.model));
  const { battery, thermal } = machine;
  const act = (): void => {
    if (state.next === 'start') void host.start();
    else if (state.next === 'stop') void host.stop();
    else if (state.next === 'resume') host.setPaused(false);
    else if (state.next === 'retry') host.lookAgain();
    else open(state.next);
  };
  const isCalm = state.next === 'stop' || state.next === 'settings';
  return (
    <Page title="Serve">
      <Card>
        <StatePicture picture={state.picture} fraction={state.fraction} />
        <View accessibilityLiveRegion="polite" style={styles.words}>
          <Text
            role="heading"
            aria-level={2}
            style={[styles.word, { color: state.isProblem === true ? theme.warn : theme.text }]}
          >
            {state.word}
          </Text>
          <Text style={[styles.sentence, { color: theme.dim }]}>{state.sentence}</Text>
        </View>
        {state.fraction !== undefined && <Bar fraction={state.fraction} label={state.word} />}
        <Button label={labels[state.next]} onPress={act} kind={isCalm ? 'tonal' : 'filled'} />
        {settings.isOn && state.next !== 'stop' && state.next !== 'resume' && (
          <Button label="Stop serving" kind="text" onPress={() => void host.stop()} />
        )}
        {state.picture === 'serving' && (
          <Button
            label="Pause"
            kind="text"
            hint="Keeps the links and answers nothing"
            onPress={() => host.setPaused(true)}
          />
        )}
      </Card>
      <Card title="Now">
        <Reading
          name="Speed"
          value={decodeRate === undefined ? 'not measured yet' : `${decodeRate.toFixed(1)} tokens/s`}
        />
        <Reading name="Requests" value={`${active} running, ${queued} waiting`} />
        <Reading name="Answered" value={String(answered)} />
        <Reading
          name="Battery"
          value={battery === undefined ? 'not told' : `${battery.pct} %${battery.charging ? ', charging' : ''}`}
        />
        <Reading name="Heat" value={heatWord(thermal?.status)} />
      </Card>
      <Card title="Last requests">
        {notes.length === 0 ? (
          <Body dim>None yet. Their text is never kept or shown.</Body>
        ) : (
          notes.slice(0, 8).map((note) => <Note key={note.at} note={note} />)
        )}
      </Card>
    </Page>
  );
}

function Note({ note: { at, tookMs, promptTokens, answerTokens, outcome } }: { readonly note: AnswerNote }) {
  const time = new Date(at).toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  });
  const end = outcome === 'answered' ? '' : `, ${outcome}`;
  return <Reading name={time} value={`${(tookMs / 1000).toFixed(1)} s, ${promptTokens} → ${answerTokens}${end}`} />;
}

const styles = StyleSheet.create({
  words: { gap: 6, alignItems: 'center' },
  word: { fontSize: 30, fontWeight: '700', textAlign: 'center' },
  sentence: { fontSize: 17, lineHeight: 24, textAlign: 'center' },
});
