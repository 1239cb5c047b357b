// Package runbook runs the lines of docs/runbooks.md against portals that are broken in the way
// each section is about.
package runbook
