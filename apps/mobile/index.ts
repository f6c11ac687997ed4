import { registerRootComponent } from 'expo';
import { Text } from 'react-native';
registerRootComponent(() => null);
void Text;
