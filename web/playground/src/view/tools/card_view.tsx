import type { Card } from '@mamba-server/client';
import { Markdown } from '../markdown';
import { Picture } from '../picture';

export function CardView({ card, send }: { card: Card; send: (text: string) => void }) {
  const { title, subtitle, media, body, badges = [], facts = [], actions = [], layout } = card;
  return (
    <article className={`card display-card ${layout}`}>
      {media && <Picture url={media.url} alt={media.alt} />}
      <div>
        <h3>{title}</h3>
        {subtitle && <p className="muted">{subtitle}</p>}
        <p className="badges">
          {badges.map(({ label, tone }) => <span key={label} className={`badge ${tone}`}>{label}</span>)}
        </p>
        {body && <Markdown text={body} />}
        {facts.length > 0 && (
          <dl>
            {facts.map((fact) => (
              <div key={fact.label}>
                <dt>{fact.label}</dt>
                <dd>{fact.value}</dd>
              </div>
            ))}
          </dl>
        )}
        <div className="card-actions">
          {actions.map((action) => {
            const style = action.style === 'primary' ? 'primary' : '';
            if (action.type === 'link') {
              return <a key={action.label} className={`button ${style}`} href={action.url} target="_blank" rel="noreferrer">{action.label}</a>;
            }
            const text = action.type === 'reply' ? action.text : JSON.stringify({ action: action.name, ...action.values });
            return <button type="button" key={action.label} className={style} onClick={() => send(text)}>{action.label}</button>;
          })}
        </div>
      </div>
    </article>
  );
}
