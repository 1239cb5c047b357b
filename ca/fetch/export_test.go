package fetch

import (
	"fmt"
	"net/http"
)

// Way connects to the addresses, each as a redirection from the one before. The error is why
// one is refused.
func Way(addresses ...string) error {
	var w route
	var before []*http.Request
	for n, address := range addresses {
		next, err := http.NewRequest(http.MethodGet, "http://"+address, nil)
		if err == nil && n > 0 {
			err = w.redirect(next, before)
		}
		if err == nil {
			err = w.refuse("tcp", address, nil)
		}
		if err != nil {
			return fmt.Errorf("address %d: %w", n+1, err)
		}
		before = append(before, next)
	}
	return nil
}
