// Sends a request with OpenAI's SDK, and prints its error.

import OpenAI from 'openai';

const { baseURL, stream } = JSON.parse(process.argv[2]);
const openai = new OpenAI({ baseURL, apiKey: 'k', maxRetries: 0 });
const messages = [{ role: 'user', content: 'Hi' }];
const error = await openai.chat.completions.create({ model: 'gpt-4o', messages, stream }).catch((reason) => reason);
console.log(JSON.stringify({ status: error.status, code: error.code, message: error.message }));
