import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

const deploy = fileURLToPath(new URL('../../deploy', import.meta.url));
/** Where `.ci/set-up` puts it. */
const library = '/usr/local/lib/lfo-kubernetes-validate';
const validator = join(library, 'bin', 'kubernetes-validate');
const withoutValidator = existsSync(validator) ? false : 'needs kubernetes-validate: run .ci/set-up';
const manifests = globSync(join(deploy, 'kubernetes/base/*.yaml')).filter(
  (file) => !file.endsWith('kustomization.yaml'),
);

function isValid(file: string): boolean {
  const { status } = spawnSync('python3', [validator, '--strict', file], {
    env: { PATH: process.env['PATH'], PYTHONPATH: library },
  });
  return status === 0;
}

/** The same file with this changed. */
function planted(t: TestContext, file: string, pattern: RegExp, replacement: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-deploy-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const text = readFileSync(file, 'utf8');
  const changed = text.replace(pattern, replacement);
  assert.notEqual(changed, text);
  const path = join(folder, basename(file));
  writeFileSync(path, changed);
  return path;
}

for (const file of manifests) {
  test(`${basename(file)} is valid for Kubernetes, and a planted fault is found`, { skip: withoutValidator }, (t) => {
    assert.ok(isValid(file));
    assert.ok(!isValid(planted(t, file, /^metadata:$/m, 'metadataa:')));
    if (/^spec:$/m.test(readFileSync(file, 'utf8'))) {
      assert.ok(!isValid(planted(t, file, /^spec:$/m, 'spec:\n  plantedFault: 1')));
    }
  });
}

test('every manifest is part of the base', () => {
  const list = readFileSync(join(deploy, 'kubernetes/base/kustomization.yaml'), 'utf8');
  for (const file of manifests) assert.match(list, new RegExp(`- ${basename(file).replace('.', '\\.')}\n`));
});

test('the pods have the time that the routers are told to take', () => {
  const deployment = readFileSync(join(deploy, 'kubernetes/base/deployment.yaml'), 'utf8');
  const settings = readFileSync(join(deploy, 'kubernetes/base/configuration.yaml'), 'utf8');
  const number = (text: string, pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? Number.NaN);
  const grace = number(deployment, /terminationGracePeriodSeconds: (\d+)/);
  const stop = number(deployment, /preStop:\s+sleep: \{ seconds: (\d+) \}/);
  const taken = (number(settings, /drain_ms: (\d+)/) + number(settings, /shutdown_grace_ms: (\d+)/)) / 1_000;
  assert.ok(grace > stop + taken, `${grace} s for ${stop} + ${taken}`);
});

const nginx = '/usr/sbin/nginx';
test(
  'the configuration for nginx is one, and a planted fault is found',
  { skip: existsSync(nginx) ? false : 'needs nginx' },
  (t) => {
    const check = (file: string): number | null => spawnSync(nginx, ['-t', '-q', '-p', tmpdir(), '-c', file]).status;
    assert.equal(check(join(deploy, 'nginx.conf')), 0);
    assert.notEqual(check(planted(t, join(deploy, 'nginx.conf'), /proxy_buffering off/, 'proxy_bufering off')), 0);
  },
);

test(
  'so is the one of the compose file, once the image has filled in its name server',
  { skip: existsSync(nginx) ? false : 'needs nginx' },
  (t) => {
    // Older versions know no `resolve`, and would look the names up here.
    const file = planted(t, join(deploy, 'nginx.compose.conf'), /server r\d:8080 resolve/g, 'server 127.0.0.1:8080');
    writeFileSync(file, readFileSync(file, 'utf8').replace('${NGINX_LOCAL_RESOLVERS}', '127.0.0.11'));
    assert.equal(spawnSync(nginx, ['-t', '-q', '-p', tmpdir(), '-c', file]).status, 0);
  },
);

const haproxy = '/usr/sbin/haproxy';
test(
  'the configuration for HAProxy is one, and a planted fault is found',
  { skip: existsSync(haproxy) ? false : 'needs haproxy' },
  (t) => {
    const check = (file: string): number | null => spawnSync(haproxy, ['-c', '-q', '-f', file]).status;
    assert.equal(check(join(deploy, 'haproxy.cfg')), 0);
    assert.notEqual(check(planted(t, join(deploy, 'haproxy.cfg'), /balance leastconn/, 'balance leastcon')), 0);
  },
);
