'use strict';

// graphql-ws: a query, a subscription that ends, one that is ended, and a failed authorisation.

const { once } = require('node:events');
const { GraphQLObjectType, GraphQLSchema, GraphQLString } = require('graphql');
const { createClient } = require('graphql-ws');
const { useServer } = require('graphql-ws/use/ws');
const { WebSocket, WebSocketServer } = require('ws');

async function* count(until) {
  for (let i = 1; i <= until; i++) yield { count: String(i) };
}

const schema = new GraphQLSchema({
  query: new GraphQLObjectType({ name: 'Query', fields: { hello: { type: GraphQLString, resolve: () => 'world' } } }),
  subscription: new GraphQLObjectType({
    name: 'Subscription',
    fields: { count: { type: GraphQLString, subscribe: () => count(5) } }
  })
});

function client(port, connectionParams) {
  return createClient({ url: `ws://127.0.0.1:${port}/graphql`, webSocketImpl: WebSocket, connectionParams, retryAttempts: 0 });
}

async function main() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/graphql' });
  const disposable = useServer({ schema, onConnect: ({ connectionParams }) => connectionParams.token === 'right' }, server);
  await once(server, 'listening');
  const { port } = server.address();

  const right = client(port, { token: 'right' });
  for await (const { data } of right.iterate({ query: '{ hello }' })) console.log(JSON.stringify(data));
  for await (const { data } of right.iterate({ query: 'subscription { count }' })) console.log(JSON.stringify(data));
  for await (const { data } of right.iterate({ query: 'subscription { count }' })) {
    console.log('first only', JSON.stringify(data));
    break;
  }
  await right.iterate({ query: '{ nothing }' }).next().catch((errors) => console.log(errors[0].message));
  await right.dispose();

  const wrong = client(port, { token: 'wrong' });
  await new Promise((resolve) => wrong.subscribe({ query: '{ hello }' }, {
    next() {},
    error: (event) => resolve(console.log('refused:', event.code, event.reason, event.wasClean)),
    complete() {}
  }));
  await disposable.dispose();
  console.log('closed');
}

main();
