import type { RoutingPolicy } from '../../core/routing.ts';
import { capabilityPolicy } from './capability.ts';
import { cloudAvailabilityPolicy } from './cloud-availability.ts';
import { firstTokenTimePolicy } from './first-token-time.ts';
import { localAvailabilityPolicy } from './local-availability.ts';
import { localContextPolicy } from './local-context.ts';
import { modePolicy } from './mode.ts';
import { pinnedModelPolicy } from './pinned-model.ts';
import { tokenLimitPolicy } from './token-limit.ts';

/** The shipped policies. Order matters among preferences only: the first one speaks. */
export const defaultPolicies: readonly RoutingPolicy[] = [
  pinnedModelPolicy,
  modePolicy,
  cloudAvailabilityPolicy,
  localAvailabilityPolicy,
  capabilityPolicy,
  localContextPolicy,
  tokenLimitPolicy,
  firstTokenTimePolicy,
];
