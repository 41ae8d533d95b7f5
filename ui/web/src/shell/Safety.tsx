/**
 * Keeps what goes wrong in a part of the page from taking all of it down. The part comes back with the next change of the
 * graph (an undo, another document), or when it is asked to.
 */
import { Component, type ReactNode } from "react";
import { download } from "../files/documents";
import { useGraph } from "../state/graph";
import { Icon } from "./icons";

interface SafetyProps { part: string; children: ReactNode }

export class Safety extends Component<SafetyProps, { error: Error | null }> {
  override state: { error: Error | null } = { error: null };
  private stop: (() => void) | undefined;

  static getDerivedStateFromError(error: Error) { return { error }; }

  override componentDidMount() {
    this.stop = useGraph.subscribe((now, before) => { if (now.graph !== before.graph && this.state.error) this.retry(); });
  }

  override componentWillUnmount() { this.stop?.(); }

  private readonly retry = () => this.setState({ error: null });

  override render() {
    const { error } = this.state;
    if (!error) return this.props.children;
    return (
      <section className="lg-safety" role="alert" data-testid="safety">
        <Icon name="error" size={20} />
        <p><strong>{this.props.part} can't be shown.</strong> Your work is kept: undo the last step, or download the workflow and open another.</p>
        <p className="lg-quiet">{error.message}</p>
        <div className="lg-row">
          <button type="button" className="lg-button primary" onClick={this.retry}>Try again</button>
          <button type="button" className="lg-button" onClick={download}><Icon name="download" />Download</button>
        </div>
      </section>
    );
  }
}
