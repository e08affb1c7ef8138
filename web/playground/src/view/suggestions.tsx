/** First messages of an empty chat. */

const DEMO = ['What happens when a worker is killed?', 'Count to 200', 'Show me a chart', 'Show me a form', 'Show me code', 'Show me a card', 'Think about it'];
const ANY = ['Explain how a Redis stream works, with an example', 'Show me a chart of three planets by size', 'Write a haiku about a snake'];

export function Suggestions({ demo, onChoose }: { demo: boolean; agent: string; onChoose: (text: string) => void }) {
  return (
    <section className="welcome">
      <h2>Ask for something long, then break it</h2>
      <p>
        Every event of an answer is stored before you see it. Kill the worker, restart the API, or cut the connection: the
        answer continues where it stopped.
      </p>
      {demo && <p className="muted">The built-in demo model answers. Set OPENAI_API_KEY and restart for a real one.</p>}
      <div className="suggestions">
        {(demo ? DEMO : ANY).map((text) => (
          <button type="button" key={text} onClick={() => onChoose(text)}>{text}</button>
        ))}
      </div>
    </section>
  );
}
