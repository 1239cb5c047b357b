package ca

import "math/big"

// weakModulus gives the weakness of an RSA modulus that is easy to factor, or "".
// It takes tens of microseconds.
func weakModulus(n *big.Int) string {
	roca := true
	rest := new(big.Int)
	divisor := new(big.Int)
	for _, p := range smallPrimes() {
		r := rest.Mod(n, divisor.SetInt64(p)).Int64()
		if r == 0 {
			return "RSA modulus has a small factor"
		}
		// CVE-2017-15361 (ROCA): the primes of the broken generator are powers of
		// 65537 modulo every small prime up to 167, hence so is their product. A
		// sound modulus has this property once in many million keys.
		if roca && p <= 167 && !powerOf65537(r, p) {
			roca = false
		}
	}
	if roca {
		return "RSA modulus carries the trace of the ROCA weakness (CVE-2017-15361)"
	}
	return ""
}

// powerOf65537 reports whether r is a power of 65537 modulo the prime p.
func powerOf65537(r, p int64) bool {
	g := 65537 % p
	for x := g; ; x = x * g % p {
		if x == r {
			return true
		}
		if x == 1 {
			return false
		}
	}
}

// smallPrimes gives the primes below 752, the bound of the trial division of NIST SP
// 800-89 section 5.3.3.
func smallPrimes() []int64 {
	primes := make([]int64, 0, 133)
	for candidate := int64(2); candidate < 752; candidate++ {
		composite := false
		for _, p := range primes {
			if candidate%p == 0 {
				composite = true
				break
			}
		}
		if !composite {
			primes = append(primes, candidate)
		}
	}
	return primes
}
