import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';

import { loadConfig } from '../packages/router/src/config/load.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const linesOf = (path: string) =>
  readFileSync(`${root}/${path}`, 'utf8')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));

test('security 26 and 27: the image is built from a pinned base, without scripts or downloads, and runs as nobody', () => {
  const lines = linesOf('Containerfile');
  const instruction = (name: string) => lines.filter((line) => line.startsWith(`${name} `));
  const bases = instruction('FROM');
  assert.equal(bases.length, 2);
  for (const base of bases) assert.match(base, /^FROM node:\d+\.\d+\.\d+-[a-z]+-slim\b/);
  assert.deepEqual(instruction('ADD'), []);
  assert.doesNotMatch(instruction('RUN').join('\n'), /curl|wget|https?:/);
  assert.ok(instruction('RUN').some((line) => line.includes('npm ci') && line.includes('--ignore-scripts')));
  const user = lines.indexOf('USER 10001:10001');
  assert.ok(user > lines.lastIndexOf(bases[1] ?? ''), 'the last stage has a user that is not root');
  assert.equal(
    lines.slice(user + 1).some((line) => /^(USER|RUN|COPY) /.test(line)),
    false,
    'nothing is done after that',
  );
  assert.match(instruction('HEALTHCHECK').join(), /process\.env\.PORT \+ '\/health'/);
  assert.deepEqual(instruction('VOLUME'), ['VOLUME /data']);
  assert.deepEqual(
    instruction('ENTRYPOINT'),
    ['ENTRYPOINT ["node", "--max-semi-space-size=16", "/lfo/packages/router/bin/lfo.js"]'],
    'signals reach Node itself, and what is given as a command is one of lfo',
  );
  assert.deepEqual(instruction('CMD'), ['CMD ["serve"]']);
  assert.doesNotMatch(instruction('ENV').join(), /KEY|TOKEN|SECRET/);
});

test('security 26: what the image copies is there, and the Node in it is the one of the lockfile', () => {
  const lines = linesOf('Containerfile');
  const copied = lines.filter((line) => line.startsWith('COPY ') && !line.includes('--from='));
  for (const line of copied) {
    for (const path of line.split(' ').slice(1, -1)) assert.ok(existsSync(`${root}/${path}`), path);
  }
  const version = /FROM node:(\d+\.\d+\.\d+)-/.exec(lines.join('\n'))?.[1];
  assert.match(
    readFileSync(`${root}/package.json`, 'utf8'),
    new RegExp(`"node": "${version?.replaceAll('.', '\\.')}"`),
  );
});

interface Service {
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly environment?: Readonly<Record<string, string>>;
  readonly volumes?: readonly string[];
  readonly tmpfs?: readonly string[];
}

test('the compose file makes the image it names, mounts what is there, and lets each router write its data folder', () => {
  const text = readFileSync(`${root}/deploy/compose.yaml`, 'utf8');
  const services: Readonly<Record<string, Service>> = parse(text, { merge: true }).services;
  const names = Object.keys(services).filter((name) => /^r\d$/.test(name));
  assert.equal(names.length, 3);
  for (const name of names) {
    const { build, tmpfs } = services[name] ?? {};
    assert.ok(existsSync(join(root, 'deploy', build?.context ?? '', build?.dockerfile ?? '')));
    // A tmpfs takes the mode of the image's folder and not its owner.
    assert.ok(tmpfs?.includes('/data:mode=1777'));
    assert.equal(services[name]?.environment?.['LFO_ROUTER_NAME'], name);
  }
  const mounted = Object.values(services).flatMap(({ volumes = [] }) =>
    volumes.map((mount) => mount.split(':')[0] ?? ''),
  );
  for (const source of mounted.filter((path) => path.startsWith('.'))) {
    assert.ok(existsSync(join(root, 'deploy', source)), source);
  }
  const settings = loadConfig({ env: { HOME: '/' }, cwd: '/', file: `${root}/deploy/lfo.compose.yaml` });
  assert.deepEqual(settings.warnings, []);
});

test('the settings of the manifests are ones that LFO takes without a warning', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-settings-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { data } = parse(readFileSync(`${root}/deploy/kubernetes/base/configuration.yaml`, 'utf8'));
  const file = join(folder, 'lfo.yaml');
  writeFileSync(file, data['lfo.yaml']);
  assert.deepEqual(loadConfig({ env: { HOME: '/' }, cwd: folder, file }).warnings, []);
});

test('applying the manifests again leaves the number of routers to the autoscaler', () => {
  const manifest = (name: string) => parse(readFileSync(`${root}/deploy/kubernetes/base/${name}.yaml`, 'utf8')).spec;
  assert.equal(manifest('autoscaler').scaleTargetRef.name, 'lfo');
  assert.equal(manifest('autoscaler').minReplicas, 2);
  assert.equal(manifest('deployment').replicas, undefined);
});

test('the balancer of the compose file finds routers that were made anew at another address', () => {
  const { services } = parse(readFileSync(`${root}/deploy/compose.yaml`, 'utf8'), { merge: true });
  const lines = linesOf('deploy/nginx.compose.conf');
  const servers = lines.filter((line) => line.startsWith('server r'));
  assert.deepEqual(
    servers.map((line) => /^server (\w+):8080 resolve /.exec(line)?.[1]),
    Object.keys(services).filter((name) => /^r\d$/.test(name)),
  );
  assert.ok(lines.includes('resolver ${NGINX_LOCAL_RESOLVERS} valid=1s;'));
  assert.ok(
    lines.some((line) => line.startsWith('zone lfo ')),
    'without it names are looked up once',
  );
  // The official image writes the name servers of its container into templates when told so, into its own folder else.
  assert.deepEqual(services.nginx.environment, {
    NGINX_ENTRYPOINT_LOCAL_RESOLVERS: '1',
    NGINX_ENVSUBST_OUTPUT_DIR: '/etc/nginx',
  });
  assert.ok(services.nginx.volumes[0].endsWith(':/etc/nginx/templates/nginx.conf.template:ro'));
});

for (const file of ['deploy/nginx.conf', 'deploy/nginx.compose.conf']) {
  test(`${file}: a router whose machine has gone costs a request two seconds, not the minute of nginx`, () => {
    assert.ok(linesOf(file).includes('proxy_connect_timeout 2s;'));
  });
}

test('Docker and Podman leave the same out of images: Docker reads no .containerignore', () => {
  assert.ok(existsSync(`${root}/.dockerignore`));
  assert.equal(existsSync(`${root}/.containerignore`), false);
});

test('security 27: the systemd unit takes root, capabilities and the rest of the file system away', () => {
  const lines = new Set(linesOf('docs/operations/lfo.service'));
  const wanted = [
    'DynamicUser=yes',
    'NoNewPrivileges=yes',
    'ProtectSystem=strict',
    'ProtectHome=yes',
    'PrivateTmp=yes',
    'CapabilityBoundingSet=',
    'RestrictSUIDSGID=yes',
    'StateDirectoryMode=0700',
    'UMask=0077',
    'SystemCallFilter=@system-service',
  ];
  for (const line of wanted) assert.ok(lines.has(line), line);
  assert.equal(
    [...lines].some((line) => line.startsWith('User=root')),
    false,
  );
});
