// Package floors holds the test that keeps the house in order. It has no code.
package arch
