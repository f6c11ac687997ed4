/** What the app is made of, by those who made it. */
export const licences: readonly { readonly name: string; readonly licence: string }[] = [
  { name: 'LFO Host', licence: 'MIT' },
  { name: 'Cactus', licence: 'its own terms: free for private use and for organisations under 2,000,000 USD a year' },
  { name: 'llama.rn and llama.cpp', licence: 'MIT' },
  { name: 'React Native, Expo', licence: 'MIT' },
  { name: 'react-native-tcp-socket, react-native-zeroconf', licence: 'MIT' },
  { name: 'noble cryptography, zod', licence: 'MIT' },
  { name: 'jsonrepair', licence: 'ISC' },
];
