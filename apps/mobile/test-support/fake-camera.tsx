import { useState } from 'react';
import { View } from 'react-native';

interface Seen {
  readonly data: string;
}

/** expo-camera with what it sees decided by a test. */
export class FakeCamera {
  asked = 0;
  isAllowed = true;
  #onBarcodeScanned: ((seen: Seen) => void) | undefined;

  see(data: string): void {
    this.#onBarcodeScanned?.({ data });
  }

  /** In place of the library's. */
  useCameraPermissions = (): [object, () => Promise<void>] => {
    const [permission, set] = useState({ granted: false, canAskAgain: true });
    const ask = async (): Promise<void> => {
      this.asked += 1;
      set({ granted: this.isAllowed, canAskAgain: false });
    };
    return [permission, ask];
  };

  /** In place of the library's. */
  CameraView = ({ onBarcodeScanned }: { readonly onBarcodeScanned?: (seen: Seen) => void }) => {
    this.#onBarcodeScanned = onBarcodeScanned;
    return <View />;
  };
}
