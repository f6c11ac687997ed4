import { useEffect, useState } from 'react';
import { View } from 'react-native';

type OnScanned = (seen: { readonly data: string }) => void;

/** What a test decides and learns of expo-camera. */
export interface FakeCamera {
  /** How often it was asked for. */
  asked: number;
  isAllowed: boolean;
  see(data: string): void;
}

/** In place of expo-camera, with its camera. */
export function fakeCameraLibrary(): object {
  const watching = new Set<OnScanned>();
  const fakeCamera: FakeCamera = {
    asked: 0,
    isAllowed: true,
    see(data) {
      for (const run of watching) run({ data });
    },
  };
  function useCameraPermissions(): [object, () => Promise<void>] {
    const [permission, set] = useState({ granted: false, canAskAgain: true });
    const ask = async (): Promise<void> => {
      fakeCamera.asked += 1;
      set({ granted: fakeCamera.isAllowed, canAskAgain: false });
    };
    return [permission, ask];
  }
  function CameraView({ onBarcodeScanned }: { readonly onBarcodeScanned: OnScanned }) {
    useEffect(() => {
      watching.add(onBarcodeScanned);
      return () => void watching.delete(onBarcodeScanned);
    }, [onBarcodeScanned]);
    return <View />;
  }
  return { fakeCamera, useCameraPermissions, CameraView };
}
