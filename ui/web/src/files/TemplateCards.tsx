/** Ready-made workflows as cards with the picture that they make. */
import { Icon, Logo } from "../shell/icons";
import { count, openDocument } from "./documents";
import { type Template, picture, useTemplates } from "./lists";

export function TemplateCards({ most = Infinity }: { most?: number }) {
  const { items, failed } = useTemplates();
  if (failed) return <p className="lg-failed" role="alert"><Icon name="error" />{failed}</p>;
  if (items?.length === 0) return <p className="lg-quiet">There are no templates on this server.</p>;
  return (
    <ul className="lg-cards" aria-busy={items === null}>
      {(items ?? []).slice(0, most).map((template) => <li key={template.name}><Card template={template} /></li>)}
    </ul>
  );
}

function Card({ template }: { template: Template }) {
  const { name, title, description, nodes } = template;
  const url = picture(template);
  return (
    <button type="button" className="lg-card" data-testid={`template-${name}`} onClick={() => void openDocument({ template: name }, title || name)}>
      <span className="lg-card-picture">{url ? <img src={url} alt="" loading="lazy" draggable={false} /> : <Logo />}</span>
      <span className="lg-card-title">{title || name}</span>
      {description && <span className="lg-card-text">{description}</span>}
      <span className="lg-card-text">{count(nodes, "node", "nodes")}</span>
    </button>
  );
}
