import { StyleSheet, View } from 'react-native';
import type { Picture } from './serve-state';
import { useTheme } from './theme';

const calm: ReadonlySet<Picture> = new Set(['off', 'fetching', 'loading', 'waiting', 'paused']);

/** A state as a picture, drawn from plain shapes; the words beside it say the same. */
export function StatePicture({
  picture,
  fraction,
}: {
  readonly picture: Picture;
  readonly fraction: number | undefined;
}) {
  const theme = useTheme();
  const [ink, ground] =
    picture === 'serving'
      ? [theme.good, theme.goodTint]
      : calm.has(picture)
        ? [theme.accent, theme.tint]
        : [theme.warn, theme.warnTint];
  return (
    <View aria-hidden style={[styles.disc, { backgroundColor: ground }]}>
      {fraction !== undefined && (
        <View
          style={[styles.fill, { height: `${Math.round(fraction * 100)}%`, backgroundColor: ink, opacity: 0.25 }]}
        />
      )}
      <Shape picture={picture} ink={ink} ground={ground} />
    </View>
  );
}

function Shape({ picture, ink, ground }: { readonly picture: Picture; readonly ink: string; readonly ground: string }) {
  const fill = { backgroundColor: ink };
  const ring = (size: number, width = 5) => ({
    width: size,
    height: size,
    borderRadius: size / 2,
    borderWidth: width,
    borderColor: ink,
  });
  switch (picture) {
    case 'off':
      return (
        <View style={styles.stack}>
          <View style={ring(60)} />
          <View style={[styles.over, { top: -8, width: 22, height: 30, backgroundColor: ground }]} />
          <View style={[styles.over, fill, { top: -8, width: 6, height: 34, borderRadius: 3 }]} />
        </View>
      );
    case 'fetching':
      return (
        <View style={styles.stack}>
          <View style={[fill, { width: 6, height: 38, borderRadius: 3 }]} />
          <View
            style={[
              {
                width: 26,
                height: 26,
                borderRightWidth: 6,
                borderBottomWidth: 6,
                borderColor: ink,
                marginTop: -26,
                transform: [{ rotate: '45deg' }],
              },
            ]}
          />
          <View style={[fill, { width: 52, height: 6, borderRadius: 3, marginTop: 14 }]} />
        </View>
      );
    case 'loading':
      return (
        <View style={styles.row}>
          {[18, 30, 42].map((height) => (
            <View key={height} style={[fill, { width: 12, height, borderRadius: 4 }]} />
          ))}
        </View>
      );
    case 'waiting':
      return (
        <View style={styles.row}>
          {[1, 0.6, 0.3].map((opacity) => (
            <View key={opacity} style={[fill, { width: 16, height: 16, borderRadius: 8, opacity }]} />
          ))}
        </View>
      );
    case 'serving':
      return (
        <View style={[ring(84, 4), styles.centre]}>
          <View style={[ring(54, 5), styles.centre]}>
            <View style={[fill, { width: 22, height: 22, borderRadius: 11 }]} />
          </View>
        </View>
      );
    case 'hot':
      return (
        <View style={styles.stack}>
          <View style={[fill, { width: 18, height: 52, borderRadius: 9 }]} />
          <View style={[fill, { width: 34, height: 34, borderRadius: 17, marginTop: -12 }]} />
        </View>
      );
    case 'battery':
      return (
        <View style={styles.centre}>
          <View style={[fill, { width: 18, height: 8, borderTopLeftRadius: 4, borderTopRightRadius: 4 }]} />
          <View
            style={{
              width: 42,
              height: 66,
              borderWidth: 5,
              borderColor: ink,
              borderRadius: 10,
              justifyContent: 'flex-end',
              padding: 4,
            }}
          >
            <View style={[fill, { height: 12, borderRadius: 3 }]} />
          </View>
        </View>
      );
    case 'memory':
      return (
        <View style={styles.centre}>
          <Pins ink={ink} />
          <View style={{ width: 56, height: 44, borderWidth: 5, borderColor: ink, borderRadius: 8 }} />
          <Pins ink={ink} />
        </View>
      );
    case 'network':
      return (
        <View style={styles.centre}>
          <View style={[styles.row, { alignItems: 'flex-end' }]}>
            {[16, 28, 40, 52].map((height) => (
              <View key={height} style={[fill, { width: 10, height, borderRadius: 4, opacity: 0.5 }]} />
            ))}
          </View>
          <View
            style={[
              styles.over,
              fill,
              { top: 24, width: 84, height: 6, borderRadius: 3, transform: [{ rotate: '-40deg' }] },
            ]}
          />
        </View>
      );
    case 'paused':
      return (
        <View style={styles.row}>
          {['left', 'right'].map((side) => (
            <View key={side} style={[fill, { width: 16, height: 54, borderRadius: 5 }]} />
          ))}
        </View>
      );
    case 'attention':
      return (
        <View style={styles.centre}>
          <View style={[fill, { width: 12, height: 46, borderRadius: 6 }]} />
          <View style={[fill, { width: 14, height: 14, borderRadius: 7, marginTop: 8 }]} />
        </View>
      );
  }
}

function Pins({ ink }: { readonly ink: string }) {
  return (
    <View style={styles.row}>
      {[0, 1, 2].map((pin) => (
        <View key={pin} style={{ width: 6, height: 10, backgroundColor: ink }} />
      ))}
    </View>
  );
}

const styles = StyleSheet.create({
  disc: {
    width: 136,
    height: 136,
    borderRadius: 68,
    alignItems: 'center',
    justifyContent: 'center',
    overflow: 'hidden',
    alignSelf: 'center',
  },
  fill: { position: 'absolute', bottom: 0, left: 0, right: 0 },
  stack: { alignItems: 'center' },
  centre: { alignItems: 'center', justifyContent: 'center' },
  row: { flexDirection: 'row', alignItems: 'center', gap: 8 },
  over: { position: 'absolute' },
});
