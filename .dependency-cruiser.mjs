/**
 * The import rules of docs/architecture.md. `scripts/check-imports.ts` plants a violation of each to see them bite.
 */
const router = '^packages/router/src';
/** Tests, contract suites and fixtures of tests. */
const tests = '\\.test\\.ts$|-contract\\.ts$|-fixture\\.ts$';

/** What each folder of the router may import beside itself. */
const mayImport = {
  core: [],
  config: ['core'],
  server: ['core', 'config'],
  backends: ['core', 'config'],
  fleet: ['core', 'config', 'backends'],
  routing: ['core'],
  confidence: ['core'],
  records: ['core', 'config'],
  keys: ['core', 'config', 'records'],
  telemetry: ['core', 'config', 'records', 'backends/http'],
  pipeline: ['core', 'config', 'routing', 'confidence', 'backends'],
  learning: ['core', 'config', 'confidence', 'records'],
  dialects: ['core', 'server'],
  admin: ['core', 'config', 'server', 'keys', 'records', 'telemetry', 'backends', 'fleet', 'routing', 'confidence'],
  app: [
    'core',
    'config',
    'server',
    'backends',
    'fleet',
    'routing',
    'confidence',
    'records',
    'keys',
    'telemetry',
    'pipeline',
    'learning',
    'dialects',
    'admin',
  ],
  cli: ['core', 'config', 'app'],
};

const folderRules = Object.entries(mayImport).map(([folder, others]) => ({
  name: `folder-${folder}`,
  comment: `${folder}/ imports ${['itself', ...others].join(', ')}; types of config/ may be imported from anywhere.`,
  severity: 'error',
  from: { path: `${router}/${folder}/`, pathNot: tests },
  to: {
    path: `${router}/`,
    pathNot: [`${router}/(${[folder, ...others].join('|')})/`, `${router}/config/config\\.ts$`],
  },
}));
// The command line shows what records and keys hold: their types, never their code.
const cliRule = folderRules.find(({ name }) => name === 'folder-cli');
if (cliRule !== undefined) {
  cliRule.to.pathNot.push(
    `${router}/(records/(archive|history|tables)|keys/(managed-key|key-store)|telemetry/log)\\.ts$`,
  );
}

export default {
  forbidden: [
    {
      name: 'no-circular',
      comment: 'No cycle, type-only ones included.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    { name: 'unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    ...folderRules,
    {
      name: 'config-types-only',
      comment: 'The types of the configuration go anywhere, its functions where the table says.',
      severity: 'error',
      from: {
        path: `${router}/(core|routing|confidence|dialects)/`,
        pathNot: tests,
      },
      to: { path: `${router}/config/`, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'engines-apart',
      severity: 'error',
      from: { path: `${router}/backends/engines/([^/]+)/`, pathNot: tests },
      to: { path: `${router}/backends/engines/`, pathNot: `${router}/backends/engines/$1/` },
    },
    {
      name: 'dialects-apart',
      severity: 'error',
      from: { path: `${router}/dialects/([^/]+)/`, pathNot: tests },
      to: { path: `${router}/dialects/[^/]+/`, pathNot: `${router}/dialects/$1/` },
    },
    {
      name: 'cloud-client-from-one-module',
      comment: 'The path that serves local requests is built without the cloud client.',
      severity: 'error',
      from: { path: router, pathNot: [tests, `${router}/app/cloud-tier\\.ts$`] },
      to: {
        path: `${router}/backends/(engines/gemini/backend|http/(cloud-client|fetch-image))\\.ts$`,
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'http-client-from-few-modules',
      comment: 'Who can build an outgoing client can send a packet: both tiers, and the exporter of spans.',
      severity: 'error',
      from: {
        path: router,
        pathNot: [tests, `${router}/backends/http/(cloud|local)-client\\.ts$`, `${router}/telemetry/tracing\\.ts$`],
      },
      to: { path: `${router}/backends/http/socket-client\\.ts$`, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'portable-packages',
      comment: 'They run on phones and in browsers too.',
      severity: 'error',
      from: { path: '^packages/(protocol|device-core)/src', pathNot: tests },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'protocol-alone',
      severity: 'error',
      from: { path: '^packages/protocol/src', pathNot: tests },
      to: { path: '^(packages/(router|device-host|device-core)|testing)/' },
    },
    {
      name: 'device-core-on-protocol',
      severity: 'error',
      comment: 'Of ours the protocol alone; of others the pure packages named here.',
      from: { path: '^packages/device-core/src', pathNot: tests },
      to: { pathNot: '^packages/(device-core|protocol)/|/node_modules/jsonrepair/|^node_modules/jsonrepair/' },
    },
    { name: 'router-forks-the-host', severity: 'error', from: { path: router }, to: { path: '^packages/device-host' } },
    {
      name: 'host-without-router',
      severity: 'error',
      from: { path: '^packages/device-host', pathNot: tests },
      to: { path: '^(packages/router|testing)/' },
    },
    {
      name: 'dashboard-shares-shapes',
      comment: 'The browser shares with the router what holds no code of Node.',
      severity: 'error',
      from: { path: '^packages/dashboard/src' },
      to: {
        path: '^(packages/(router|device-host|device-core|protocol)|testing)/',
        pathNot: '^packages/router/src/(admin/wire|core/(goals|reason|request)|records/(history|request-view))\\.ts$',
      },
    },
    {
      name: 'apps-on-portable-packages',
      severity: 'error',
      from: { path: '^apps/' },
      to: { path: '^(packages|testing)/', pathNot: '^packages/(protocol|device-core)/' },
    },
    { name: 'nothing-imports-apps', severity: 'error', from: { pathNot: '^apps/' }, to: { path: '^apps/' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^packages/router/dist' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.json'],
    },
  },
};
