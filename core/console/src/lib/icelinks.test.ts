import { expect, test, vi } from 'vitest';
import { iceServersOf, useIceServers } from './icelinks';

test('servers, with and without passwords, one header or several', () => {
  expect(iceServersOf(null)).toEqual([]);
  expect(iceServersOf('')).toEqual([]);
  expect(iceServersOf('<stun:stun.example.org>; rel="ice-server"')).toEqual([
    { urls: 'stun:stun.example.org' },
  ]);
  const both =
    '<stun:stun.example.org>;rel=ice-server,<turns:turn.example.org:443?transport=tcp>; ' +
    'REL="ice-server"; username="1732:a,b;c"; credential="p\\"q\\\\"; credential-type="password"';
  expect(iceServersOf(both)).toEqual([
    { urls: 'stun:stun.example.org' },
    { urls: 'turns:turn.example.org:443?transport=tcp', username: '1732:a,b;c', credential: 'p"q\\' },
  ]);
});

test('other links, other schemes and other credentials are none', () => {
  const links = [
    '<https://example.org/next>; rel="next"',
    '<stun:a.example.org>',
    '<https://evil.example.org>; rel="ice-server"',
    '<turn:a.example.org>; rel="ice-server"; username="u"; credential="c"; credential-type="oauth"',
    '<stun:b.example.org>; rel="next"; rel="ice-server"',
    '<stun:c.example.org>; rel="prefetch ice-server"',
    'stun:d.example.org; rel="ice-server"',
  ];
  expect(iceServersOf(links.join(', '))).toEqual([{ urls: 'stun:c.example.org' }]);
});

test('what is no header of links is read to its end, quickly', () => {
  const garbage = [
    '<'.repeat(9999),
    '<a>' + ';'.repeat(9999),
    '<a>; b="' + '\\'.repeat(9999),
    '<a>;'.repeat(9999),
  ];
  const began = performance.now();
  for (const text of garbage) expect(iceServersOf(text)).toEqual([]);
  const many = Array.from({ length: 999 }, (_, i) => `<stun:${i}.example.org>; rel=ice-server`).join(', ');
  expect(iceServersOf(many)).toHaveLength(8);
  expect(performance.now() - began).toBeLessThan(2000);
});

test('one that the browser refuses keeps none of the others', () => {
  vi.spyOn(console, 'warn').mockReturnValue();
  let configuration: RTCConfiguration = { bundlePolicy: 'max-bundle' };
  const connection = {
    getConfiguration: () => configuration,
    setConfiguration: (wanted: RTCConfiguration) => {
      if (wanted.iceServers?.some(({ urls }) => urls === 'turn:b')) throw new DOMException('no password');
      configuration = wanted;
    },
  };
  useIceServers(connection as RTCPeerConnection, [
    { urls: 'stun:a' },
    { urls: 'turn:b' },
    { urls: 'stun:c' },
  ]);
  expect(configuration).toEqual({
    bundlePolicy: 'max-bundle',
    iceServers: [{ urls: 'stun:a' }, { urls: 'stun:c' }],
  });
  vi.restoreAllMocks();
});
