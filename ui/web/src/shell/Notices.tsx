/** Passing notices, bottom centre; read out by screen readers as they come, errors at once. */
import { type Notice, dismiss, useShell } from "../state/shell";
import { Icon } from "./icons";

export function Notices() {
  const notices = useShell((state) => state.notices);
  return (
    <section className="lg-notices" aria-label="Notices">
      <div aria-live="polite">{notices.filter(({ kind }) => kind !== "error").map(one)}</div>
      <div aria-live="assertive" role="alert">{notices.filter(({ kind }) => kind === "error").map(one)}</div>
    </section>
  );
}

function one({ id, kind, text, detail, action, other }: Notice) {
  return (
    <div key={id} className={`lg-notice ${kind}`} data-testid={`notice-${kind}`}>
      <Icon name={kind} />
      <div className="lg-notice-text">
        <p>{text}</p>
        {detail && <p className="lg-quiet">{detail}</p>}
      </div>
      {[action, other].map((offer) => offer && (
        <button key={offer.label} type="button" className="lg-button small" onClick={() => { dismiss(id); offer.run(); }}>
          {offer.label}
        </button>
      ))}
      <button type="button" className="lg-icon-button" aria-label="Close this notice" onClick={() => dismiss(id)}>
        <Icon name="close" size={14} />
      </button>
    </div>
  );
}
