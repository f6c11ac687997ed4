import { useEffect, useRef } from 'react';
import { CameraView, useCameraPermissions } from 'expo-camera';
import { StyleSheet } from 'react-native';
import { Notice } from './parts';

/** The camera, looking for a router's code; asked for at the first scan only. */
export function CodeScanner({ onCode }: { readonly onCode: (text: string) => void }) {
  const [permission, ask] = useCameraPermissions();
  const isDone = useRef(false);
  useEffect(() => {
    if (permission?.granted === false && permission.canAskAgain) void ask();
  }, [permission, ask]);
  if (permission === null) return null;
  if (!permission.granted)
    return (
      <Notice text="The camera is not allowed. Type the code instead, or allow it in Android’s settings." isProblem />
    );
  return (
    <CameraView
      accessibilityLabel="Camera. Point it at the code that the router shows."
      style={styles.camera}
      barcodeScannerSettings={{ barcodeTypes: ['qr'] }}
      onBarcodeScanned={({ data }) => {
        if (isDone.current || !data.startsWith('lfo://')) return;
        isDone.current = true;
        onCode(data);
      }}
    />
  );
}

const styles = StyleSheet.create({ camera: { height: 280, borderRadius: 16, overflow: 'hidden' } });
