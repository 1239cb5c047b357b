package drift

import "time"

// Rest is the time until the next pass, with chance in the caller's hand.
func (w *Watch) Delay(r Report, err error, chance float64) time.Duration {
	return w.delay(r, err, chance)
}
