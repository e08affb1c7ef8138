/** Returns the bytes of the secret in an environment variable. */
export function secret(variable: string): Uint8Array {
  const value = process.env[variable];
  if (!value) throw new Error(`The environment variable ${variable} is not set.`);
  return new TextEncoder().encode(value);
}
