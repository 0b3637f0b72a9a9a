//go:build flaws

package engine

// Break switches a part of the protocol off, by its name in [flaws], before the group runs. It is only there with the
// tag flaws: for tests of other packages, which show that they notice.
func (g *Group) Break(part string) {
	f := &g.base.flaws
	switch part {
	case "sendEarly":
		f.sendEarly = true
	case "storeEarly":
		f.storeEarly = true
	case "markEarly":
		f.markEarly = true
	case "failSoft":
		f.failSoft = true
	default:
		panic("the protocol has no part " + part)
	}
}
