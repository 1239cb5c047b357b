package signin

import "testing"

// TestA9_HandoffNumberIsUniform: every number comes about equally often, the small
// ones too.
func TestA9_HandoffNumberIsUniform(t *testing.T) {
	const draws = 100_000
	var counts [handoffNumbers]int
	for range draws {
		n, err := drawNumber()
		if err != nil {
			t.Fatal(err)
		}
		counts[n]++
	}
	// Standard deviation of a count: 31.5. Ten of them are a chance below 1 in 10^20.
	for n, count := range counts {
		if count < 685 || count > 1315 {
			t.Errorf("%02d came %d times in %d, want about 1000", n, count, draws)
		}
	}
}
