export type { Connection } from './connection/connection.js';
export type * from './display_tools.js';
export {
  ConnectionLostError,
  IncompleteAnswerError,
  IntegrityError,
  MambaError,
  ProblemError,
  RunError,
} from './errors.js';
export { AnswerDigest } from './integrity/answer_digest.js';
export { resilientFetch } from './resilient_fetch.js';
export type { StopOptions } from './run_stopper.js';
export { streamUrl, type ConnectionOptions, type HeadersRequest, type HeadersSource } from './settings.js';
export { MambaChatTransport, type MambaChatTransportOptions } from './transport.js';
export type {
  Act,
  FormField,
  MambaData,
  MambaMetadata,
  Priority,
  ProblemDetails,
  QueuePosition,
  RunErrorData,
  RunMetadata,
  StreamChunk,
  WhenBusy,
} from './types.js';
