/** Suggested messages for an empty chat. */

const DEMO = ['What happens when a worker is killed?', 'Count to 1000', 'Show me a chart', 'Show me a form', 'Show me code', 'Show me a card', 'Send an email, with my approval', 'Think about it'];
const ANY = ['Explain how a Redis stream works, with an example', 'Show me a chart of three planets by size', 'Write a haiku about a snake'];

/** Code with three defects. */
const REVIEW = `Review this code:

\`\`\`python title="orders.py"
import subprocess


def ship(order, tags=[]):
    tags.append(order)
    try:
        subprocess.run(f"ship {order}", shell=True)
    except:
        pass
    return tags
\`\`\``;
const RESEARCH = ['How is a killed worker replaced?', 'How does a client resume an answer?'];

export function Suggestions({ demo, agent, onChoose }: { demo: boolean; agent: string; onChoose: (text: string) => void }) {
  return (
    <section className="welcome">
      <h2>Ask for something long, then break it</h2>
      <p>
        Every event of an answer is stored before you see it. Kill the worker, restart the API, or cut the connection: the
        answer continues where it stopped.
      </p>
      {demo && <p className="muted">The built-in demo model answers. Set OPENAI_API_KEY and restart for a real one.</p>}
      <div className="suggestions">
        {textsFor(agent, demo).map((text) => (
          <button type="button" key={text} onClick={() => onChoose(text)}>{text === REVIEW ? 'Review a function with three defects' : text}</button>
        ))}
      </div>
    </section>
  );
}

function textsFor(agent: string, demo: boolean): string[] {
  if (agent === 'research') return RESEARCH;
  if (agent === 'code_review') return [REVIEW];
  return demo ? DEMO : ANY;
}
