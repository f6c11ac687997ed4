import { useEffect, useReducer, useState } from 'react';
import { Linking, Pressable, StatusBar, StyleSheet, Text, View } from 'react-native';
import { ModelsScreen } from './screens/models-screen';
import { PairScreen } from './screens/pair-screen';
import type { Phone } from './screens/phone';
import { ServeScreen } from './screens/serve-screen';
import { SettingsScreen } from './screens/settings-screen';
import { tabs, tabTitles, type Tab } from './screens/tabs';
import { useTheme } from './screens/theme';

interface AppProps {
  readonly openPhone: () => Promise<Phone>;
  readonly firstTab?: Tab;
}

/** The app: four screens over one phone. */
export function App({ openPhone, firstTab = 'serve' }: AppProps) {
  const theme = useTheme();
  const [phone, setPhone] = useState<Phone | undefined>(undefined);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const [tab, setTab] = useState<Tab>(firstTab);
  const [link, setLink] = useState<string | undefined>(undefined);
  const [, changed] = useReducer((count: number) => count + 1, 0);

  useEffect(() => {
    const open = async (): Promise<void> => {
      try {
        setPhone(await openPhone());
      } catch (error) {
        setProblem(error instanceof Error ? error.message : 'The app could not start.');
      }
    };
    void open();
  }, [openPhone]);
  useEffect(() => phone?.subscribe(changed), [phone]);
  // A pairing link that was tapped or scanned by another app.
  useEffect(() => {
    const take = (url: string | null): void => {
      if (url === null || !url.startsWith('lfo://pair')) return;
      setLink(url);
      setTab('pair');
    };
    void Linking.getInitialURL().then(take);
    const listening = Linking.addEventListener('url', ({ url }) => take(url));
    return () => listening.remove();
  }, []);

  const open = (name: Tab): void => {
    setLink(undefined);
    setTab(name);
  };
  return (
    <View style={[styles.app, { backgroundColor: theme.ground }]}>
      <StatusBar />
      <View role="main" style={styles.screen}>
        {problem !== undefined && <Text style={[styles.problem, { color: theme.warn }]}>{problem}</Text>}
        {phone !== undefined && <Screen tab={tab} phone={phone} link={link} open={open} />}
      </View>
      <View role="navigation" aria-label="Screens">
        <View role="tablist" style={[styles.bar, { backgroundColor: theme.card, borderColor: theme.line }]}>
          {tabs.map((name) => {
            const isOpen = name === tab;
            return (
              <Pressable
                key={name}
                role="tab"
                aria-selected={isOpen}
                aria-label={tabTitles[name]}
                onPress={() => open(name)}
                style={styles.tab}
              >
                <View style={[styles.mark, { backgroundColor: isOpen ? theme.accent : 'transparent' }]} />
                <Text
                  style={[
                    styles.tabText,
                    { color: isOpen ? theme.accent : theme.dim, fontWeight: isOpen ? '700' : '500' },
                  ]}
                >
                  {tabTitles[name]}
                </Text>
              </Pressable>
            );
          })}
        </View>
      </View>
    </View>
  );
}

interface ScreenProps {
  readonly tab: Tab;
  readonly phone: Phone;
  readonly link: string | undefined;
  readonly open: (tab: Tab) => void;
}

function Screen({ tab, phone, link, open }: ScreenProps) {
  switch (tab) {
    case 'serve':
      return <ServeScreen phone={phone} open={open} />;
    case 'pair':
      return <PairScreen key={link} phone={phone} link={link} />;
    case 'models':
      return <ModelsScreen phone={phone} />;
    case 'settings':
      return <SettingsScreen phone={phone} />;
  }
}

const styles = StyleSheet.create({
  app: { flex: 1 },
  screen: { flex: 1 },
  bar: { flexDirection: 'row', borderTopWidth: 1, paddingBottom: 12 },
  tab: { flex: 1, minHeight: 60, alignItems: 'center', justifyContent: 'center', gap: 6 },
  mark: { width: 40, height: 4, borderRadius: 2 },
  tabText: { fontSize: 15 },
  problem: { padding: 24, fontSize: 18 },
});
