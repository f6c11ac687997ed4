module.exports = {
  preset: 'jest-expo/android',
  resolver: './jest-resolver.js',
  roots: ['<rootDir>/test'],
  setupFiles: ['./test-support/native-tcp.ts', './test-support/native-parts.ts'],
  moduleNameMapper: {
    '^node:test$': '<rootDir>/test-support/node-test.ts',
    // tsconfig.json names its types.
    '^expo-file-system/legacy$': '<rootDir>/node_modules/expo-file-system/src/legacy/index.ts',
  },
  transformIgnorePatterns: [
    'node_modules/(?!((jest-)?react-native|@react-native(-community)?|expo(nent)?|@expo(nent)?/.*|expo-.*|cactus-react-native|llama\\.rn|react-native-.*|@noble/.*))',
  ],
  testTimeout: 90000,
};
