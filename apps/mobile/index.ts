import './src/start';
