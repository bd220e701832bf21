// Types of ropeway: those of npm's `ws`, with its names, and the additions.
// Made from index.d.ts: node scripts/types.js

/// <reference types="node" />

import { EventEmitter } from 'events';
import { Agent, ClientRequest, ClientRequestArgs, IncomingMessage, OutgoingHttpHeaders, Server as HttpServer } from 'http';
import { Server as HttpsServer } from 'https';
import { createConnection } from 'net';
import { Duplex, DuplexOptions, Writable } from 'stream';
import { SecureContextOptions } from 'tls';
import { URL } from 'url';
import { ZlibOptions } from 'zlib';

/** The data of a message, a ping or a pong, in every form that may be sent. Numbers are sent as text. */
type Sendable =
  | string
  | number
  | ArrayBufferView
  | ArrayBuffer
  | SharedArrayBuffer
  | Blob
  | readonly any[]
  | { valueOf(): ArrayBuffer | SharedArrayBuffer }
  | { valueOf(): Uint8Array }
  | { valueOf(): readonly number[] }
  | { valueOf(): string }
  | { [Symbol.toPrimitive](hint: string): string };

/** A listener of `addEventListener`: a function, or an object with `handleEvent`. */
type EventListener<E> = ((event: E) => void) | { handleEvent(event: E): void };

/** What each event of a WebSocket is emitted with. */
interface WebSocketEvents {
  /** The connection has ended: the peer's code (1005 if it gave none, 1006 without a close frame) and reason. */
  close: [code: number, reason: Buffer];
  /** The handshake failed, the peer broke a rule of the protocol (`code` is a `WS_ERR_` code), or a Blob could not be read. */
  error: [error: Error];
  /** A message. Text is given as a Buffer too, with `isBinary` false. */
  message: [data: WebSocket.RawData, isBinary: boolean];
  /** The handshake is done. */
  open: [];
  /** A ping. It is answered already, unless `autoPong` is off. */
  ping: [data: Buffer];
  /** A pong. */
  pong: [data: Buffer];
  /** A redirect is about to be followed, with `followRedirects`. */
  redirect: [url: string, request: ClientRequest];
  /** The server answered with something else than 101. Whoever listens has to end the request. */
  'unexpected-response': [request: ClientRequest, response: IncomingMessage];
  /** The server's answer, before it is judged. */
  upgrade: [response: IncomingMessage];
}

/** A connection: a client's, or one that a server has accepted. */
declare class WebSocket extends EventEmitter {
  /** The connection is not open yet. */
  static readonly CONNECTING: 0;
  /** The connection is open. */
  static readonly OPEN: 1;
  /** A close frame was sent or has come, or the connection failed. */
  static readonly CLOSING: 2;
  /** The connection has ended. */
  static readonly CLOSED: 3;

  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSING: 2;
  readonly CLOSED: 3;

  /**
   * Opens a connection. Errors of the URL, the subprotocols and the options are thrown; all others come as the event `'error'`.
   *
   * @param address `ws:`, `wss:`, `http:`, `https:` or `ws+unix:`; null, with the options of a server as third argument,
   *   makes an object without a connection.
   * @param protocols The subprotocols to offer.
   * @param options Of the WebSocket, and all that `http.request` and `https.request` take.
   */
  constructor(address: null);
  constructor(address: string | URL, options?: WebSocket.ClientOptions | ClientRequestArgs);
  constructor(
    address: string | URL,
    protocols?: string | string[],
    options?: WebSocket.ClientOptions | ClientRequestArgs
  );

  /** How the data of binary messages is given. Another value is ignored. @default 'nodebuffer' */
  binaryType: 'nodebuffer' | 'arraybuffer' | 'fragments' | 'blob';
  /** Bytes that wait in this process to be sent, without the frames of the current tick. */
  readonly bufferedAmount: number;
  /** The names of the agreed extensions. */
  readonly extensions: string;
  /** Whether `pause` was called. */
  readonly isPaused: boolean;
  /** The agreed subprotocol; empty if there is none. */
  readonly protocol: string;
  /** The state: `CONNECTING`, `OPEN`, `CLOSING` or `CLOSED`. */
  readonly readyState:
    | typeof WebSocket.CONNECTING
    | typeof WebSocket.OPEN
    | typeof WebSocket.CLOSING
    | typeof WebSocket.CLOSED;
  /** The URL that it is connected to; on the server `undefined`. */
  readonly url: string;

  onopen: ((event: WebSocket.Event) => void) | null;
  onerror: ((event: WebSocket.ErrorEvent) => void) | null;
  onclose: ((event: WebSocket.CloseEvent) => void) | null;
  onmessage: ((event: WebSocket.MessageEvent) => void) | null;

  /**
   * Begins the closing handshake.
   *
   * @param code 1000 to 1003, 1007 to 1014 or 3000 to 4999. Without one the close frame is empty.
   * @param reason At most 123 bytes.
   * @throws {TypeError|RangeError} If a close frame may not carry them.
   */
  close(code?: number, reason?: string | Uint8Array): void;

  /**
   * Sends a ping of at most 125 bytes.
   *
   * @param mask Whether to mask it; a client does, and has to (RFC 6455, section 5.1).
   * @param callback Is called when it is written, or with an error.
   * @throws {RangeError|Error} If the data is too long, or the connection is not open yet.
   */
  ping(data?: any, mask?: boolean, callback?: (error: Error) => void): void;

  /** Sends a pong of at most 125 bytes; see `ping`. */
  pong(data?: any, mask?: boolean, callback?: (error: Error) => void): void;

  /**
   * Sends a message.
   *
   * @param callback Is called when it is written, or with an error.
   * @throws {Error} If the connection is not open yet. If it is no more, only the callback gets the error.
   */
  send(data: Sendable, callback?: (error?: Error) => void): void;
  send(data: Sendable, options: WebSocket.SendOptions, callback?: (error?: Error) => void): void;

  /** Ends the connection at once, without a closing handshake. */
  terminate(): void;
  /** Reads no more from the socket. Messages that were read already still come. */
  pause(): void;
  /** Reads again. */
  resume(): void;

  /** Adds a listener that gets an event object, as in a browser. */
  addEventListener<K extends keyof WebSocket.WebSocketEventMap>(
    type: K,
    listener: EventListener<WebSocket.WebSocketEventMap[K]>,
    options?: WebSocket.EventListenerOptions
  ): void;
  /** Removes a listener that `addEventListener` has added. */
  removeEventListener<K extends keyof WebSocket.WebSocketEventMap>(
    type: K,
    listener: EventListener<WebSocket.WebSocketEventMap[K]>
  ): void;

  on<E extends keyof WebSocketEvents>(event: E, listener: (this: WebSocket, ...args: WebSocketEvents[E]) => void): this;
  on(event: string | symbol, listener: (this: WebSocket, ...args: any[]) => void): this;
  once<E extends keyof WebSocketEvents>(event: E, listener: (this: WebSocket, ...args: WebSocketEvents[E]) => void): this;
  once(event: string | symbol, listener: (this: WebSocket, ...args: any[]) => void): this;
  off<E extends keyof WebSocketEvents>(event: E, listener: (this: WebSocket, ...args: WebSocketEvents[E]) => void): this;
  off(event: string | symbol, listener: (this: WebSocket, ...args: any[]) => void): this;
  addListener<E extends keyof WebSocketEvents>(event: E, listener: (...args: WebSocketEvents[E]) => void): this;
  addListener(event: string | symbol, listener: (...args: any[]) => void): this;
  removeListener<E extends keyof WebSocketEvents>(event: E, listener: (...args: WebSocketEvents[E]) => void): this;
  removeListener(event: string | symbol, listener: (...args: any[]) => void): this;
}

declare namespace WebSocket {
  /** The data of a message. A Blob comes with the `binaryType` of that name, and is not listed, as in `@types/ws`. */
  type RawData = Buffer | ArrayBuffer | Buffer[];

  /** The data of a `MessageEvent`: text is a string there. */
  type Data = string | Buffer | ArrayBuffer | Buffer[];

  /** Certificates and keys. */
  type CertMeta = string | string[] | Buffer | Buffer[];

  /** Judges a handshake at once. */
  type VerifyClientCallbackSync<Request extends IncomingMessage = IncomingMessage> = (info: {
    origin: string;
    secure: boolean;
    req: Request;
  }) => boolean;

  /** Judges a handshake some time later. `code`, `name` and `headers` are those of the refusal. */
  type VerifyClientCallbackAsync<Request extends IncomingMessage = IncomingMessage> = (
    info: { origin: string; secure: boolean; req: Request },
    callback: (result: boolean, code?: number, name?: string, headers?: OutgoingHttpHeaders) => void
  ) => void;

  /** Gets the client's request in order to change it; it has to call `request.end()`. */
  type FinishRequestCallback = (request: ClientRequest, websocket: WebSocket) => void;

  interface SendOptions {
    /** Whether to mask the frame. @default true on a client */
    mask?: boolean | undefined;
    /** Whether the message is binary. @default true unless the data is a string or a number */
    binary?: boolean | undefined;
    /** Whether to compress it, if permessage-deflate was agreed. @default true */
    compress?: boolean | undefined;
    /** Whether this is the last fragment of the message. @default true */
    fin?: boolean | undefined;
  }

  /** What both ends have. Limits are coerced to signed integers of 32 bits; 0 is no limit (for `maxPayload`: 4 GiB − 1). */
  interface CommonOptions {
    /** Whether several events may come in one turn of the event loop. @default true */
    allowSynchronousEvents?: boolean | undefined;
    /** Whether pings are answered. @default true */
    autoPong?: boolean | undefined;
    /** Milliseconds until the socket is destroyed, once the closing handshake has begun. @default 30000 */
    closeTimeout?: number | undefined;
    /** Accepted as in `ws`: here memory is limited by bytes, and no chunks are held. @default 262144 */
    maxBufferedChunks?: number | undefined;
    /** The most fragments of a message, empty ones included. @default 16384 */
    maxFragments?: number | undefined;
    /** The most bytes of a message. @default 104857600 */
    maxPayload?: number | undefined;
    /** How many automatic pongs may wait to be written before the connection is terminated. @default 60 */
    maxPendingAutoPongs?: number | undefined;
    /** Whether to leave text and close reasons unchecked. @default false */
    skipUTF8Validation?: boolean | undefined;
    /**
     * An addition: pings a peer that was silent for a whole `interval` of milliseconds, and terminates the connection if there is silence
     * for `timeout` milliseconds more (`interval`, if it is left out).
     */
    keepalive?: { interval: number; timeout?: number | undefined } | null | undefined;
    /**
     * An addition: if more bytes than this wait for a peer when a message is to be sent, the connection is terminated, or with
     * `then: 'drop'` the message is dropped; its callback gets an error with the code `ROPEWAY_ERR_MAX_BUFFERED`. So at most so
     * many bytes and one message wait, besides pings and pongs. 0 is no limit.
     */
    maxBuffered?: number | { bytes: number; then?: 'close' | 'drop' | undefined } | undefined;
  }

  /** The options of a client; those of `http.request` and `https.request` are handed on. */
  interface ClientOptions extends SecureContextOptions, CommonOptions {
    protocol?: string | undefined;
    /** Whether to follow redirects. @default false */
    followRedirects?: boolean | undefined;
    /** Fills the masking key of a frame. @default random bytes */
    generateMask?(mask: Buffer): void;
    /** Milliseconds that the handshake may take. */
    handshakeTimeout?: number | undefined;
    /** @default 10 */
    maxRedirects?: number | undefined;
    /** @default true */
    perMessageDeflate?: boolean | PerMessageDeflateOptions | undefined;
    localAddress?: string | undefined;
    /** 8 or 13. @default 13 */
    protocolVersion?: number | undefined;
    headers?: { [key: string]: string } | undefined;
    /** The header `Origin`, or `Sec-WebSocket-Origin` in version 8. */
    origin?: string | undefined;
    agent?: Agent | undefined;
    host?: string | undefined;
    family?: number | undefined;
    checkServerIdentity?(servername: string, cert: CertMeta): boolean;
    rejectUnauthorized?: boolean | undefined;
    createConnection?: typeof createConnection | undefined;
    finishRequest?: FinishRequestCallback | undefined;
  }

  /** permessage-deflate (RFC 7692). `false` refuses what the other end may ask for. */
  interface PerMessageDeflateOptions {
    serverNoContextTakeover?: boolean | undefined;
    clientNoContextTakeover?: boolean | undefined;
    /** 8 to 15. */
    serverMaxWindowBits?: number | false | undefined;
    /** 8 to 15. */
    clientMaxWindowBits?: number | boolean | undefined;
    /** `level` and `memLevel` are used; the others only by `broadcast` and the exported class `PerMessageDeflate`. */
    zlibDeflateOptions?:
      | {
          flush?: number | undefined;
          finishFlush?: number | undefined;
          chunkSize?: number | undefined;
          windowBits?: number | undefined;
          level?: number | undefined;
          memLevel?: number | undefined;
          strategy?: number | undefined;
          dictionary?: Buffer | Buffer[] | DataView | undefined;
          info?: boolean | undefined;
        }
      | undefined;
    /** Accepted, and used by the exported class `PerMessageDeflate` alone. */
    zlibInflateOptions?: ZlibOptions | undefined;
    /** Shorter messages are not compressed, if this end begins each message with an empty window. @default 1024 */
    threshold?: number | undefined;
    /** Accepted, and used by the exported class `PerMessageDeflate` alone. @default 10 */
    concurrencyLimit?: number | undefined;
  }

  interface Event {
    type: string;
    target: WebSocket;
  }

  interface ErrorEvent {
    error: any;
    message: string;
    type: string;
    target: WebSocket;
  }

  interface CloseEvent {
    /** Whether a close frame was sent and one has come. */
    wasClean: boolean;
    code: number;
    reason: string;
    type: string;
    target: WebSocket;
  }

  interface MessageEvent {
    data: Data;
    type: string;
    target: WebSocket;
  }

  interface WebSocketEventMap {
    open: Event;
    error: ErrorEvent;
    close: CloseEvent;
    message: MessageEvent;
  }

  interface EventListenerOptions {
    once?: boolean | undefined;
  }

  /** The options of a server: exactly one of `port`, `server` and `noServer`. */
  interface ServerOptions<
    U extends typeof WebSocket = typeof WebSocket,
    V extends typeof IncomingMessage = typeof IncomingMessage
  > extends CommonOptions {
    host?: string | undefined;
    port?: number | undefined;
    backlog?: number | undefined;
    /** The HTTP server to share the port of. */
    server?: HttpServer<V> | HttpsServer<V> | undefined;
    /** Judges handshakes. */
    verifyClient?: VerifyClientCallbackAsync<InstanceType<V>> | VerifyClientCallbackSync<InstanceType<V>> | undefined;
    /** Chooses one of the offered subprotocols. @default the first */
    handleProtocols?: (protocols: Set<string>, request: InstanceType<V>) => string | false;
    /** Accepts requests for this path only. */
    path?: string | undefined;
    /** For those who call `handleUpgrade` themselves. */
    noServer?: boolean | undefined;
    /** Whether there is a set `clients`. @default true */
    clientTracking?: boolean | undefined;
    /** @default false */
    perMessageDeflate?: boolean | PerMessageDeflateOptions | undefined;
    /** The class of the connections. */
    WebSocket?: U | undefined;
    /**
     * An addition: the origins that may connect. `'same'` is that of the request's own host and port, and of its scheme where that is
     * known: over TLS, or from a trusted proxy. Others are refused with 403. Requests without an `Origin` header, which are not from a
     * browser's page, are let through.
     */
    origins?: 'same' | string[] | null | undefined;
    /**
     * An addition: addresses and networks, such as `10.0.0.0/8`, of proxies. `origins: 'same'` compares the origins of requests that
     * come from them with `X-Forwarded-Host` and `X-Forwarded-Proto`.
     */
    trustedProxies?: string[] | null | undefined;
  }

  interface AddressInfo {
    address: string;
    family: string;
    port: number;
  }

  interface BroadcastOptions {
    /** Clients that do not get it. */
    except?: WebSocket | Iterable<WebSocket> | null | undefined;
    /** Whether the message is binary. @default true unless the data is a string or a number */
    binary?: boolean | undefined;
    /** Whether to compress it for clients whose messages begin with an empty window. @default true */
    compress?: boolean | undefined;
  }
}

/** What each event of a server is emitted with. */
interface ServerEvents<T extends typeof WebSocket, U extends typeof IncomingMessage> {
  /** The server is closed. */
  close: [];
  /** A handshake is done. */
  connection: [websocket: InstanceType<T>, request: InstanceType<U>];
  /** An error of the HTTP server. */
  error: [error: Error];
  /** The lines of the answer, before they are written; they may be changed. */
  headers: [headers: string[], request: InstanceType<U>];
  /** The HTTP server listens. */
  listening: [];
  /** A request that breaks the protocol is about to be refused. A listener has to answer and to end the socket. Other refusals are
   * answered without this event. */
  wsClientError: [error: Error, socket: Duplex, request: InstanceType<U>];
}

/** A server of WebSockets, on a port of its own, on an HTTP server's, or without any. */
declare class Server<
  T extends typeof WebSocket = typeof WebSocket,
  U extends typeof IncomingMessage = typeof IncomingMessage
> extends EventEmitter {
  options: WebSocket.ServerOptions<T, U>;
  path: string;
  /** The open connections; absent if `clientTracking` is off. */
  clients: Set<InstanceType<T>>;

  /**
   * @param callback Is called when the server listens, with the option `port`.
   * @throws {TypeError} Unless exactly one of `port`, `server` and `noServer` is given.
   */
  constructor(options?: WebSocket.ServerOptions<T, U>, callback?: () => void);

  /** Where the server listens. @throws {Error} With the option `noServer`. */
  address(): WebSocket.AddressInfo | string | null;

  /**
   * Accepts no more connections. Those that are open stay open: see `drain`.
   *
   * @param callback Is called when all of them have ended.
   */
  close(callback?: (error?: Error) => void): void;

  /**
   * Does the handshake of a request that an HTTP server's `'upgrade'` event gave.
   *
   * @throws {Error} If the socket had a handshake already.
   */
  handleUpgrade(
    request: InstanceType<U>,
    socket: Duplex,
    upgradeHead: Buffer,
    callback: (client: InstanceType<T>, request: InstanceType<U>) => void
  ): void;

  /** Whether the request is for this server; may be overridden. */
  shouldHandle(request: InstanceType<U>): boolean | Promise<boolean>;

  /**
   * An addition: sends a message to all open clients. It is converted once, compressed once for each size of window, and the call
   * never waits.
   *
   * @returns How many clients it was sent to.
   */
  broadcast(data: Sendable, options?: WebSocket.BroadcastOptions): number;

  /**
   * An addition: accepts no more connections, closes all that are open with 1001, and terminates those that remain.
   *
   * @param timeout Milliseconds until then. @default 10000
   * @returns How many had to be terminated.
   */
  drain(timeout?: number): Promise<number>;

  on<E extends keyof ServerEvents<T, U>>(
    event: E,
    listener: (this: Server<T>, ...args: ServerEvents<T, U>[E]) => void
  ): this;
  on(event: string | symbol, listener: (this: Server<T>, ...args: any[]) => void): this;
  once<E extends keyof ServerEvents<T, U>>(
    event: E,
    listener: (this: Server<T>, ...args: ServerEvents<T, U>[E]) => void
  ): this;
  once(event: string | symbol, listener: (this: Server<T>, ...args: any[]) => void): this;
  off<E extends keyof ServerEvents<T, U>>(
    event: E,
    listener: (this: Server<T>, ...args: ServerEvents<T, U>[E]) => void
  ): this;
  off(event: string | symbol, listener: (this: Server<T>, ...args: any[]) => void): this;
  addListener<E extends keyof ServerEvents<T, U>>(event: E, listener: (...args: ServerEvents<T, U>[E]) => void): this;
  addListener(event: string | symbol, listener: (...args: any[]) => void): this;
  removeListener<E extends keyof ServerEvents<T, U>>(event: E, listener: (...args: ServerEvents<T, U>[E]) => void): this;
  removeListener(event: string | symbol, listener: (...args: any[]) => void): this;
}

/** The parameters of an extension by their names, and of several extensions by theirs. */
type ExtensionParameters = { [name: string]: (string | true)[] };
type Extensions = { [name: string]: ExtensionParameters[] };

/** The value of the header `Sec-WebSocket-Extensions`. */
declare const extension: {
  /** Writes it. */
  format(extensions: { [name: string]: object | object[] }): string;
  /** Reads it. @throws {SyntaxError} */
  parse(header: string): Extensions;
};

/** The value of the header `Sec-WebSocket-Protocol`. */
declare const subprotocol: {
  /** Reads it. @throws {SyntaxError} */
  parse(header: string): Set<string>;
};

/** permessage-deflate without a WebSocket. */
declare class PerMessageDeflate {
  static readonly extensionName: 'permessage-deflate';
  /** The agreed parameters, after `accept`. */
  params: { [name: string]: number | true } | null;
  constructor(options?: WebSocket.PerMessageDeflateOptions & { isServer?: boolean; maxPayload?: number });
  /** The parameters to offer. */
  offer(): { [name: string]: number | true };
  /** Judges offers, or a response. @throws {Error} If nothing is acceptable. */
  accept(configurations: ExtensionParameters[]): { [name: string]: number | true };
  compress(data: Buffer | string, fin: boolean, callback: (error: Error | null, result?: Buffer) => void): void;
  decompress(data: Buffer, fin: boolean, callback: (error: Error | null, result?: Buffer) => void): void;
  /** Frees the compressor and the decompressor. */
  cleanup(): void;
}

/** Reads frames without a WebSocket. It emits `'message'`, `'ping'`, `'pong'` and, for a close frame, `'conclude'`. */
declare class Receiver extends Writable {
  constructor(options?: {
    allowSynchronousEvents?: boolean;
    binaryType?: WebSocket['binaryType'];
    extensions?: { [name: string]: PerMessageDeflate };
    isServer?: boolean;
    maxBufferedChunks?: number;
    maxFragments?: number;
    maxPayload?: number;
    skipUTF8Validation?: boolean;
  });
}

/** Writes frames without a WebSocket. */
declare class Sender {
  constructor(
    socket: Writable,
    extensions?: { [name: string]: PerMessageDeflate },
    generateMask?: (mask: Buffer) => void
  );
  /** The header and the payload of a frame; one buffer if the payload is empty or had to be copied. */
  static frame(
    data: Buffer | string,
    options: {
      fin?: boolean;
      generateMask?: (mask: Buffer) => void;
      mask?: boolean;
      opcode: number;
      readOnly?: boolean;
      rsv1?: boolean;
    }
  ): Buffer[];
  close(code?: number, data?: string | Uint8Array, mask?: boolean, callback?: (error?: Error) => void): void;
  ping(data: any, mask: boolean, callback?: (error?: Error) => void): void;
  pong(data: any, mask: boolean, callback?: (error?: Error) => void): void;
  send(data: any, options: WebSocket.SendOptions, callback?: (error?: Error) => void): void;
  /** Writes what `frame` has made. */
  sendFrame(list: (Buffer | string)[], callback?: (error?: Error) => void): void;
}

/** A stream over a WebSocket: each chunk that is written is a message, each message is a chunk to be read. */
declare function createWebSocketStream(websocket: WebSocket, options?: DuplexOptions): Duplex;

// ECMAScript modules

export import AddressInfo = WebSocket.AddressInfo;
export import BroadcastOptions = WebSocket.BroadcastOptions;
export import CertMeta = WebSocket.CertMeta;
export import ClientOptions = WebSocket.ClientOptions;
export import CloseEvent = WebSocket.CloseEvent;
export import Data = WebSocket.Data;
export import ErrorEvent = WebSocket.ErrorEvent;
export import Event = WebSocket.Event;
export import EventListenerOptions = WebSocket.EventListenerOptions;
export import FinishRequestCallback = WebSocket.FinishRequestCallback;
export import MessageEvent = WebSocket.MessageEvent;
export import PerMessageDeflateOptions = WebSocket.PerMessageDeflateOptions;
export import RawData = WebSocket.RawData;
export import SendOptions = WebSocket.SendOptions;
export import ServerOptions = WebSocket.ServerOptions;
export import VerifyClientCallbackAsync = WebSocket.VerifyClientCallbackAsync;
export import VerifyClientCallbackSync = WebSocket.VerifyClientCallbackSync;

export { type Server };
export const WebSocketServer: typeof Server;
export interface WebSocketServer extends Server {}
export { createWebSocketStream, extension, PerMessageDeflate, Receiver, Sender, subprotocol };
export { WebSocket };
export default WebSocket;
