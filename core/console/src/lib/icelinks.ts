// STUN and TURN servers, as an answer of the router's names them: `Link` with `rel="ice-server"`
// (RFC 9725 section 4.6, RFC 8288).

/** More are not tried: each is asked from each of a machine's addresses. */
const MOST = 8;
const SCHEMES = /^(stuns?|turns?):/i;
/** A link: its target, and what is said of it. */
const LINK = /<([^<>]*)>((?:\s*;\s*[\w!#$%&'*+.^`|~-]+\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",;]*))?)*)/g;
const PARAMETER = /;\s*([\w!#$%&'*+.^`|~-]+)\s*(?:=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*)))?/g;

/** The servers that a `Link` header names; several headers come as one, with commas between them. */
export function iceServersOf(link: string | null): RTCIceServer[] {
  const servers: RTCIceServer[] = [];
  for (const [, url = '', text = ''] of (link ?? '').matchAll(LINK)) {
    const said = parametersOf(text);
    const isOne = (said.get('rel') ?? '').toLowerCase().split(/\s+/).includes('ice-server');
    // Browsers know no credentials but passwords.
    const type = said.get('credential-type') ?? 'password';
    if (!isOne || !SCHEMES.test(url) || type.toLowerCase() !== 'password') continue;
    const server: RTCIceServer = { urls: url };
    const [username, credential] = [said.get('username'), said.get('credential')];
    if (username !== undefined) server.username = username;
    if (credential !== undefined) server.credential = credential;
    servers.push(server);
  }
  return servers.slice(0, MOST);
}

/** What is said first counts. */
function parametersOf(text: string): Map<string, string> {
  const said = new Map<string, string>();
  for (const [, name = '', quoted, bare] of text.matchAll(PARAMETER)) {
    const value = quoted?.replace(/\\(.)/g, '$1') ?? bare ?? '';
    if (!said.has(name.toLowerCase())) said.set(name.toLowerCase(), value);
  }
  return said;
}

/** Has a connection use them from now on. One that the browser does not understand, or that lacks what a TURN
 * server wants, does not keep it from the others. */
export function useIceServers(connection: RTCPeerConnection, servers: RTCIceServer[]): void {
  const used: RTCIceServer[] = [];
  for (const server of servers) {
    try {
      connection.setConfiguration({ ...connection.getConfiguration(), iceServers: [...used, server] });
      used.push(server);
    } catch (error) {
      console.warn(`ICE server ${String(server.urls)} is not used:`, error);
    }
  }
}
