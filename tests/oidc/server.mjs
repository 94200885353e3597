// Real OpenID providers (npm oidc-provider) for tests: one process, as many issuers as are asked for, each on a port of its own.
//
// It reads commands as lines of JSON and answers each with a line; it ends when its input does:
//
//   {"id", "issuer", "port", "keys", "clients", "groups", "tls"?}   serve an issuer, or serve it anew with other keys    {"id", "port"}
//   {"id", "close": port}                                          take it away, with all of its connections          {"id"}
//
// A port of 0 is chosen by the kernel; the issuer is then "http://127.0.0.1:PORT" (or https). What was given out stays valid when an issuer is served anew,
// as it does at a provider that changes its keys.
import http from 'node:http';
import https from 'node:https';
import readline from 'node:readline';
import { webcrypto } from 'node:crypto';

// What node 18, of Debian 12, has not got yet.
globalThis.crypto ??= webcrypto;
URL.parse ??= (text, base) => (URL.canParse(text, base) ? new URL(text, base) : null);
const { default: Provider } = await import('oidc-provider');
const servers = new Map();

function configuration({ keys, clients, groups, audience, algorithm }) {
  const about = (id) => ({ sub: id, email: `${id}@example.com`, groups: groups[id] ?? [] });
  return {
    jwks: { keys },
    clients,
    scopes: ['openid', 'offline_access', 'groups', 'runs:read'],
    claims: { openid: ['sub'], email: ['email'], groups: ['groups'] },
    conformIdTokenClaims: false,
    cookies: { keys: ['a key of cookies in tests'] },
    rotateRefreshToken: true,
    issueRefreshToken: async (ctx, client) => client.grantTypeAllowed('refresh_token'),
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256'] },
    findAccount: (ctx, id) => ({
      accountId: id,
      claims: () => about(id),
    }),
    extraTokenClaims: (ctx, token) => (token.accountId ? about(token.accountId) : {}),
    features: {
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      devInteractions: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'runs:read groups',
          audience,
          accessTokenTTL: 300,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: algorithm } },
        }),
      },
    },
  };
}

async function listening(port, tls) {
  if (servers.has(port)) return servers.get(port);
  const server = tls ? https.createServer(tls) : http.createServer();
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  servers.set(server.address().port, server);
  return server;
}

async function serve(command) {
  const server = await listening(command.port, command.tls);
  const port = server.address().port;
  const issuer = command.issuer || `${command.tls ? 'https' : 'http'}://127.0.0.1:${port}`;
  const provider = new Provider(issuer, configuration(command));
  provider.on('server_error', (ctx, error) => console.error(error));
  server.removeAllListeners('request');
  server.on('request', provider.callback());
  return { port, issuer };
}

async function close(port) {
  const server = servers.get(port);
  servers.delete(port);
  await new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return {};
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const answer = command.close ? await close(command.close) : await serve(command);
  console.log(JSON.stringify({ id: command.id, ...answer }));
}
process.exit(0);
