/**
 * An image that is part of its message. One of another server is a link, because an answer must not make the browser
 * send a request; the content security policy blocks such requests too.
 */
export function Picture({ url, alt, className }: { url: string; alt: string; className?: string }) {
  if (/^(data|blob):/.test(url)) return <img className={className} src={url} alt={alt} />;
  const { protocol, host } = URL.canParse(url) ? new URL(url) : { protocol: '', host: '' };
  if (!/^https?:$/.test(protocol)) return <span className="remote-image">{alt}</span>;
  return (
    <a className="remote-image" href={url} target="_blank" rel="noreferrer">
      {alt || 'Image'} <span className="muted">on {host}</span>
    </a>
  );
}
