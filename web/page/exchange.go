package page

// AdminExchange is /admin/exchange: the script that sets up Exchange for this portal, and
// how to run it.
type AdminExchange struct {
	Layout
	Script string // address of the script; empty where another CA issues: then there is none
	File   string // its name
}

func (AdminExchange) name() string { return "adminexchange" }

// ExchangeStep is a way to run the script, with the words of admin.exchange.step.NAME.
type ExchangeStep struct{ Name, Command string }

// Steps are the ways to run it, in the order in which an administrator needs them.
func (p AdminExchange) Steps() []ExchangeStep {
	return []ExchangeStep{
		{"check", p.run("-Check")}, {"whatif", p.run("-Mode Pilot -WhatIf")}, {"pilot", p.run("-Mode Pilot")}, {"required", p.run("-Mode Required")},
	}
}

// Undo puts back what was before.
func (p AdminExchange) Undo() string { return p.run("-Undo") }

func (p AdminExchange) run(switches string) string { return `.\` + p.File + " " + switches }
