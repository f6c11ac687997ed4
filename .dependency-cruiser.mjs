/** The import rules of docs/architecture.md. `scripts/check-imports.ts` plants a forbidden import to see them bite. */
const stages = ['ingress', 'routing', 'backends', 'confidence', 'egress', 'records', 'admin'];
const router = '^packages/router/src';
const outsideTests = '\\.test\\.ts$|-contract\\.ts$';

const stageRules = stages.map((stage) => ({
  name: `stage-${stage}-alone`,
  comment: 'A stage imports core/ and itself, never another stage.',
  severity: 'error',
  from: { path: `${router}/${stage}/`, pathNot: outsideTests },
  to: { path: `${router}/`, pathNot: `${router}/(core|${stage})/` },
}));

export default {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'unresolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    ...stageRules,
    {
      name: 'core-imports-nothing-of-ours',
      severity: 'error',
      from: { path: `${router}/core/`, pathNot: outsideTests },
      to: { path: `${router}/`, pathNot: `${router}/core/` },
    },
    {
      name: 'engines-apart',
      severity: 'error',
      from: { path: `${router}/backends/engines/([^/]+)/`, pathNot: outsideTests },
      to: { path: `${router}/backends/engines/`, pathNot: `${router}/backends/engines/$1/` },
    },
    {
      name: 'only-app-constructs',
      comment: 'Only app.ts (and the pipeline for its stages) sees several stages.',
      severity: 'error',
      from: { path: `${router}/(main|cli/.*)\\.ts$`, pathNot: outsideTests },
      to: { path: `${router}/(${stages.join('|')})/` },
    },
    {
      name: 'cloud-client-from-one-module',
      comment: 'The path that serves local requests is built without the cloud client.',
      severity: 'error',
      from: { path: router, pathNot: `${outsideTests}|${router}/cloud-tier\\.ts$` },
      to: {
        path: `${router}/backends/(engines/gemini/(gemini-)?backend|http/cloud-client)\\.ts$`,
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'portable',
      comment: 'The protocol and the core of a device host also run in browsers and in Hermes.',
      severity: 'error',
      from: { path: '^packages/(protocol|device-core)/src', pathNot: outsideTests },
      to: { dependencyTypes: ['core'] },
    },
    {
      name: 'protocol-alone',
      severity: 'error',
      from: { path: '^packages/protocol/src', pathNot: '\\.test\\.ts$' },
      to: { path: '^packages/(router|device-core|device-host)|^testing' },
    },
    {
      name: 'device-core-on-protocol',
      comment: 'Of ours the protocol alone; of others the pure packages named here.',
      severity: 'error',
      from: { path: '^packages/device-core/src', pathNot: outsideTests },
      to: { pathNot: '^packages/(device-core|protocol)/|/node_modules/jsonrepair/|^node_modules/jsonrepair/' },
    },
    { name: 'router-forks-the-host', severity: 'error', from: { path: router }, to: { path: '^packages/device-host' } },
    {
      name: 'host-without-router',
      severity: 'error',
      from: { path: '^packages/device-host', pathNot: '\\.test\\.ts$' },
      to: { path: '^packages/router|^testing' },
    },
    {
      name: 'app-on-core-and-protocol',
      comment: 'What the phone shares with the others: the protocol and the core of a device host.',
      severity: 'error',
      from: { path: '^apps/mobile/' },
      to: { path: '^packages/|^testing', pathNot: '^packages/(device-core|protocol)/' },
    },
    {
      name: 'dashboard-shares-shapes',
      comment: 'The browser shares with the router what holds no code of Node.',
      severity: 'error',
      from: { path: '^packages/dashboard/src' },
      to: {
        path: '^packages/(router|device-core|device-host|protocol)|^testing',
        pathNot: '^packages/router/src/(admin/wire|core/(capture|history|reason|request|request-view))\\.ts$',
      },
    },
    { name: 'nothing-imports-apps', severity: 'error', from: {}, to: { path: '^apps/' } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.mjs', '.json'],
    },
  },
};
