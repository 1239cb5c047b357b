package drift

import "time"

// Delay exposes the delay until the next pass with a given random value.
func (w *Watch) Delay(r Report, err error, chance float64) time.Duration {
	return w.delay(r, err, chance)
}
