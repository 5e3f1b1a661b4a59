package claim

import "context"

// fleets is the name of the Lease of whoever starts recycles for a fleet.
const fleets = prefix + "fleets"

// AcquireTurn claims the right to start recycles for a moment, so that two fleets do not spend one budget twice. It returns
// a *HeldError while another fleet is at it.
func (c Claims) AcquireTurn(ctx context.Context) (*Claim, error) {
	return c.acquire(ctx, fleets, "the right to start recycles", map[string]string{})
}

// ReleaseTurn ends what AcquireTurn began.
func (c Claims) ReleaseTurn(ctx context.Context) error {
	return c.release(ctx, fleets, "the right to start recycles")
}
