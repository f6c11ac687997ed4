import type { ReactNode } from 'react';
import { Platform, Pressable, ScrollView, StyleSheet, Switch, Text, TextInput, View } from 'react-native';
import { useTheme } from './theme';

/** A screen's page: large title, then cards. */
export function Page({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  const theme = useTheme();
  return (
    <ScrollView
      style={{ flex: 1, backgroundColor: theme.ground }}
      contentContainerStyle={styles.page}
      keyboardShouldPersistTaps="handled"
      tabIndex={0}
    >
      <Text role="heading" aria-level={1} style={[styles.title, { color: theme.text }]}>
        {title}
      </Text>
      {children}
    </ScrollView>
  );
}

export function Card({ title, children }: { readonly title?: string; readonly children: ReactNode }) {
  const theme = useTheme();
  return (
    <View style={[styles.card, { backgroundColor: theme.card, borderColor: theme.line }]}>
      {title !== undefined && (
        <Text role="heading" aria-level={2} style={[styles.cardTitle, { color: theme.text }]}>
          {title}
        </Text>
      )}
      {children}
    </View>
  );
}

export function Body({ children, dim = false }: { readonly children: ReactNode; readonly dim?: boolean }) {
  const theme = useTheme();
  return <Text style={[styles.body, { color: dim ? theme.dim : theme.text }]}>{children}</Text>;
}

/** A name and its value, read aloud as one. */
export function Reading({ name, value }: { readonly name: string; readonly value: string }) {
  const theme = useTheme();
  return (
    <View style={styles.reading} accessible accessibilityLabel={`${name}: ${value}`}>
      <Text style={[styles.body, { color: theme.dim }]}>{name}</Text>
      <Text style={[styles.value, { color: theme.text }]}>{value}</Text>
    </View>
  );
}

interface ButtonProps {
  /** Read aloud, and shown where there is no `text`. */
  readonly label: string;
  /** Shorter, where what is around the button says the rest. */
  readonly text?: string;
  readonly onPress: () => void;
  readonly kind?: 'filled' | 'tonal' | 'text';
  /** What it does, where the label alone does not say. */
  readonly hint?: string;
  readonly disabled?: boolean;
}

export function Button({ label, text = label, onPress, kind = 'filled', hint, disabled = false }: ButtonProps) {
  const theme = useTheme();
  const ground = { filled: theme.accent, tonal: theme.tint, text: 'transparent' }[kind];
  const ink = kind === 'filled' ? theme.onAccent : theme.accent;
  return (
    <Pressable
      accessibilityRole="button"
      accessibilityLabel={label}
      {...(hint === undefined ? {} : { accessibilityHint: hint })}
      accessibilityState={{ disabled }}
      disabled={disabled}
      onPress={onPress}
      style={({ pressed }) => [styles.button, { backgroundColor: ground, opacity: disabled ? 0.6 : pressed ? 0.8 : 1 }]}
    >
      <Text style={[styles.buttonText, { color: ink }]}>{text}</Text>
    </Pressable>
  );
}

/** What came of something: read aloud as it appears. */
export function Notice({ text, isProblem = false }: { readonly text: string; readonly isProblem?: boolean }) {
  const theme = useTheme();
  return (
    <View
      accessibilityLiveRegion="polite"
      style={[styles.notice, { backgroundColor: isProblem ? theme.warnTint : theme.goodTint }]}
    >
      <Text style={[styles.body, { color: isProblem ? theme.warn : theme.good }]}>{text}</Text>
    </View>
  );
}

/** What is to be typed or compared letter by letter. */
export function Code({ text }: { readonly text: string }) {
  const theme = useTheme();
  return (
    <Text selectable style={[styles.code, { color: theme.text, backgroundColor: theme.ground }]}>
      {text}
    </Text>
  );
}

interface FieldProps {
  readonly label: string;
  readonly value: string;
  readonly onChange: (value: string) => void;
  /** The field was left, or its text is whole. */
  readonly onEnd?: () => void;
  readonly placeholder?: string;
  readonly isCode?: boolean;
}

export function Field({ label, value, onChange, onEnd, placeholder, isCode = false }: FieldProps) {
  const theme = useTheme();
  return (
    <View style={styles.field}>
      <Text style={[styles.label, { color: theme.dim }]}>{label}</Text>
      <TextInput
        accessibilityLabel={label}
        value={value}
        onChangeText={onChange}
        {...(onEnd === undefined ? {} : { onEndEditing: onEnd })}
        placeholder={placeholder}
        placeholderTextColor={theme.dim}
        autoCapitalize={isCode ? 'characters' : 'none'}
        autoCorrect={false}
        style={[styles.input, { color: theme.text, borderColor: theme.dim, backgroundColor: theme.ground }]}
      />
    </View>
  );
}

interface ToggleProps {
  readonly label: string;
  /** What it means for the phone. */
  readonly about: string;
  readonly value: boolean;
  readonly onChange: (value: boolean) => void;
}

export function Toggle({ label, about, value, onChange }: ToggleProps) {
  const theme = useTheme();
  return (
    <View style={styles.toggle}>
      <View style={styles.grow}>
        <Text style={[styles.body, { color: theme.text }]}>{label}</Text>
        <Text style={[styles.small, { color: theme.dim }]}>{about}</Text>
      </View>
      <Switch
        accessibilityLabel={`${label}. ${about}`}
        value={value}
        onValueChange={onChange}
        trackColor={{ true: theme.accent, false: theme.line }}
        thumbColor={value ? theme.onAccent : theme.dim}
        {...(Platform.OS === 'web' ? { activeThumbColor: theme.onAccent } : {})}
      />
    </View>
  );
}

interface StepsProps {
  readonly label: string;
  readonly about: string;
  readonly value: number;
  readonly steps: readonly { readonly value: number; readonly text: string }[];
  readonly onChange: (value: number) => void;
}

/** One of a few values. */
export function Steps({ label, about, value, steps, onChange }: StepsProps) {
  const theme = useTheme();
  return (
    <View style={styles.field}>
      <Text style={[styles.body, { color: theme.text }]}>{label}</Text>
      <Text style={[styles.small, { color: theme.dim }]}>{about}</Text>
      <View style={styles.steps} role="radiogroup" aria-label={label}>
        {steps.map((step) => {
          const isChosen = step.value === value;
          return (
            <Pressable
              key={step.value}
              role="radio"
              aria-checked={isChosen}
              aria-label={`${label}: ${step.text}`}
              onPress={() => onChange(step.value)}
              style={[
                styles.step,
                {
                  borderColor: isChosen ? theme.accent : theme.line,
                  backgroundColor: isChosen ? theme.tint : theme.card,
                },
              ]}
            >
              <Text style={[styles.stepText, { color: isChosen ? theme.accent : theme.text }]}>{step.text}</Text>
            </Pressable>
          );
        })}
      </View>
    </View>
  );
}

/** How far something is, as a bar. */
export function Bar({ fraction, label }: { readonly fraction: number; readonly label: string }) {
  const theme = useTheme();
  const percent = Math.round(Math.min(1, Math.max(0, fraction)) * 100);
  return (
    <View
      accessible
      role="progressbar"
      aria-label={label}
      aria-valuenow={percent}
      aria-valuemin={0}
      aria-valuemax={100}
      style={[styles.bar, { backgroundColor: theme.tint }]}
    >
      <View style={[styles.barFill, { width: `${percent}%`, backgroundColor: theme.accent }]} />
    </View>
  );
}

const styles = StyleSheet.create({
  page: { padding: 16, paddingTop: 24, paddingBottom: 32, gap: 16 },
  title: { fontSize: 32, fontWeight: '700', marginTop: 24 },
  card: { borderRadius: 20, borderWidth: 1, padding: 16, gap: 12 },
  cardTitle: { fontSize: 20, fontWeight: '600' },
  body: { fontSize: 17, lineHeight: 24 },
  small: { fontSize: 15, lineHeight: 21 },
  value: {
    fontSize: 17,
    lineHeight: 24,
    fontWeight: '600',
    fontVariant: ['tabular-nums'],
    flexShrink: 1,
    textAlign: 'right',
  },
  reading: { flexDirection: 'row', justifyContent: 'space-between', gap: 16 },
  button: { minHeight: 56, borderRadius: 28, paddingHorizontal: 16, alignItems: 'center', justifyContent: 'center' },
  buttonText: { fontSize: 18, fontWeight: '600', textAlign: 'center' },
  notice: { borderRadius: 16, padding: 16 },
  code: { fontSize: 15, lineHeight: 22, padding: 12, borderRadius: 12, fontFamily: 'monospace' },
  field: { gap: 6 },
  label: { fontSize: 15 },
  input: { minHeight: 56, borderRadius: 12, borderWidth: 1, paddingHorizontal: 16, fontSize: 18 },
  toggle: { flexDirection: 'row', alignItems: 'center', gap: 16, minHeight: 56 },
  grow: { flex: 1 },
  steps: { flexDirection: 'row', flexWrap: 'wrap', gap: 6, marginTop: 4 },
  step: {
    minHeight: 48,
    minWidth: 44,
    flexGrow: 1,
    borderRadius: 12,
    borderWidth: 1,
    paddingHorizontal: 4,
    alignItems: 'center',
    justifyContent: 'center',
  },
  stepText: { fontSize: 16, fontWeight: '600' },
  bar: { height: 8, borderRadius: 4, overflow: 'hidden' },
  barFill: { height: 8, borderRadius: 4 },
});
