import { Link } from '../parts/link.tsx';
import { Empty, ViewHead } from '../parts/states.tsx';

/** An address that names no view. */
export function NotFoundView() {
  return (
    <>
      <ViewHead title="Not found" />
      <Empty title="There is no such view.">
        <p>
          <Link to="/now">See what happens now</Link>
        </p>
      </Empty>
    </>
  );
}
