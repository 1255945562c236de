"""Who finds the odd stars: ours and its peers, on the same simulated survey, in one run.

    python benchmarks/anomaly.py [--normal 20000] [--each 30] [--train 4000] [--model apogee-16] [--skip-robust]

Normal stars and every kind of injected anomaly at three amplitudes, all of them made by the simulator from a star's
labels; our combination was learned from anomalies injected into spectra, another way of making them. Peers learn from
the same normal stars that ours is calibrated on. Area under the ROC curve and average precision of one kind at one
amplitude against all normal stars; precision at 100 of all kinds of one amplitude together among the normal.
"""
import argparse, tempfile, time
from pathlib import Path

import numpy as np, pandas as pd, torch
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from survey import beside, Components
from stellar_gen.anomaly import calibrate, score
from stellar_gen.simulate import ANOMALIES, simulate
from stellar_gen.train import encode, load_model

KINDS,AMPLITUDES = list(ANOMALIES),(.5,1.,2.)

# ------------------------------------------------------------------------------------------- peers: fit on normal stars
class Pca:
    "Sixteen principal components; pixels without information are filled with the mean spectrum"
    def __init__(self, flux, ivar, n=16):
        torch.manual_seed(0)
        self.mean = (flux*(ivar>0)).sum(0)/(ivar>0).sum(0).clip(min=1)
        x = torch.from_numpy(self.fill(flux, ivar))
        self.v = torch.svd_lowrank(x, n, niter=4)[2].numpy()
    def fill(self, flux, ivar): return np.where(ivar>0, flux-self.mean, 0).astype(np.float32)
    def scores(self, flux, ivar): return self.fill(flux, ivar)@self.v
    def residual(self, flux, ivar): x = self.fill(flux, ivar); return (ivar*(x-x@self.v@self.v.T)**2).sum(1)/(ivar>0).sum(1).clip(min=1)

class Unsupervised:
    "Random forest that tells spectra from ones with shuffled features; odd is who shares few leaves (Baron & Poznanski 2017)"
    def __init__(self, x, trees=200, rng=np.random.default_rng(0)):
        fake = np.stack([rng.permutation(c) for c in x.T], 1)
        self.forest = RandomForestClassifier(trees, min_samples_leaf=2, n_jobs=-1, random_state=0).fit(np.r_[x,fake], np.r_[np.ones(len(x)),np.zeros(len(x))])
        self.leaves = self.forest.apply(x[:1000])
    def __call__(self, x): return 1-np.concatenate([(l[:,None]==self.leaves[None]).mean((1,2)) for l in np.array_split(self.forest.apply(x), max(len(x)//200, 1))])

class Density:
    "A neural spline flow on our latents, as spender's authors do for their own"
    def __init__(self, z, steps=2000):
        from zuko.flows import NSF
        torch.manual_seed(0)
        self.m,self.s = z.mean(0),z.std(0)
        self.flow = NSF(z.shape[1], transforms=3, hidden_features=(64,64))
        x,opt = torch.from_numpy((z-self.m)/self.s).float(),torch.optim.Adam(self.flow.parameters(), 1e-3)
        for _ in range(steps): loss = -self.flow().log_prob(x[torch.randint(len(x), (256,))]).mean(); opt.zero_grad(); loss.backward(); opt.step()
    @torch.no_grad()
    def __call__(self, z): return -self.flow().log_prob(torch.from_numpy((z-self.m)/self.s).float()).nan_to_num(-1e9).numpy()

def latents(t): return t[[c for c in t if c[0]=='z' and c[1:].isdigit()]].to_numpy(np.float32)

def beside_neighbours(ready, weighted):
    "Chi-square that sixteen components leave, beside that of the fifty stars nearest in scores and S/N"
    of = Components(ready.flux, ready.ivar, weighted)

    def place(some):
        return np.c_[of.scores(some.flux, some.ivar), np.log(some.snr())]
    usual, among = of.chi2(ready.flux, ready.ivar), place(ready)
    return lambda r, t: beside(of.chi2(r.flux, r.ivar), place(r), usual, among, False)

def peers(model, train):
    "Functions of (prepared spectra, our table) by name"
    ready = model.recipe(train)
    pca,wide = Pca(ready.flux, ready.ivar),Pca(ready.flux, ready.ivar, 64)
    x,z = pca.scores(ready.flux, ready.ivar),latents(score(model, train, details=True, explain=0))
    s = x.std(0)
    iso,knn,lof = IsolationForest(n_estimators=300, random_state=0).fit(x),NearestNeighbors(n_neighbors=10).fit(x/s),LocalOutlierFactor(20, novelty=True).fit(x/s)
    forest,density = Unsupervised(wide.scores(ready.flux, ready.ivar)),Density(z)
    def on(f): return lambda r, t: f(pca.scores(r.flux, r.ivar))
    return {'isolation forest, PCA':on(lambda x: -iso.score_samples(x)), 'residual, PCA':lambda r, t: pca.residual(r.flux, r.ivar), 'k-NN, PCA':on(lambda x: knn.kneighbors(x/s)[0].mean(1)),
        'LOF, PCA':on(lambda x: -lof.score_samples(x/s)), 'unsupervised forest':lambda r, t: forest(wide.scores(r.flux, r.ivar)), 'latent density':lambda r, t: density(latents(t)),
        'residual beside neighbours, PCA':beside_neighbours(ready, False), 'residual beside neighbours, EMPCA':beside_neighbours(ready, True),
        'our chi2 alone':lambda r, t: t.chi2.to_numpy(), 'ours':lambda r, t: t.anomaly.to_numpy()}

def table(rows, digits=3): print(pd.DataFrame(rows).round(digits).to_string(index=False), flush=True)

# ------------------------------------------------------------------------------------------------------ the comparison
def compare(model, args):
    find = peers(model, simulate(args.train, seed=901))
    normal = {k:[] for k in find}
    tables = []
    for i in range(0, args.normal, 2000):
        s = simulate(min(2000, args.normal-i), seed=1000+i)
        t,r = score(model, s, details=True, explain=0),model.recipe(s)
        tables.append(t[['snr','chi2','anomaly','p_value']].assign(type=s.meta.kind.to_numpy()))
        for k,f in find.items(): normal[k].append(f(r, t))
    normal,ordinary = {k:np.concatenate(v) for k,v in normal.items()},pd.concat(tables)
    rows,judged,by_kind = {k:dict(method=k) for k in find},[],{}
    for a in AMPLITUDES:
        s = simulate(args.each*len(KINDS), seed=5000+int(10*a), anomalies={k:args.each for k in KINDS}, amplitude=a)
        t,r,kind = score(model, s, fdr=1, details=True, explain=1.),model.recipe(s),s.meta.anomaly.to_numpy()
        judged.append(t[['snr','anomaly','p_value','p_star','cause','kind','reason']].assign(true=kind, amplitude=a))
        for k,f in find.items():
            odd = f(r, t)
            def each(metric): return {q:metric(np.r_[np.zeros(len(normal[k])), np.ones((kind==q).sum())], np.r_[normal[k], odd[kind==q]]) for q in KINDS}
            auc,ap = each(roc_auc_score),each(average_precision_score)
            if a==1: by_kind[k] = auc
            everything = np.r_[normal[k], odd]
            rows[k] |= {f'AUROC {a:g}':np.mean(list(auc.values())), f'AP {a:g}':np.mean(list(ap.values())), f'at 100, {a:g}':(np.argsort(-everything)[:100]>=len(normal[k])).mean()}
    print(f'{args.normal:,} normal stars, {args.each} of each of {len(KINDS)} kinds at amplitudes {AMPLITUDES}')
    table(rows.values())
    print('\nAUROC by kind at amplitude 1')
    print(pd.DataFrame(by_kind).round(3).to_string())
    from scipy.stats import kstest
    print('\nNormal stars: distance of p_value from a uniform one (Kolmogorov-Smirnov), and the shares below 0.05, 0.01, 0.001')
    groups = {'all':ordinary, **{f'S/N {a}-{b}':ordinary[ordinary.snr.between(a, b)] for a,b in ((20,70),(70,120),(120,200),(200,400))}, **dict(list(ordinary.groupby('type')))}
    table([dict(stars=k, n=len(g), KS=kstest(g.p_value, 'uniform').statistic, below_05=(g.p_value<.05).mean(), below_01=(g.p_value<.01).mean(), below_001=(g.p_value<.001).mean()) for k,g in groups.items()], 4)
    j = pd.concat(judged)
    j['truth'] = j.true.map(ANOMALIES)
    print('\nStar or data, and which kind, of the odd stars with p < 0.01')
    rows = []
    for a,g in j[j.p_value<.01].groupby('amplitude'):
        known = g[g.cause!='unknown']
        rows.append(dict(amplitude=a, found=f'{len(g)} of {args.each*len(KINDS)}', star_or_data=((g.p_star>.5)==(g.truth=='star')).mean(), unknown=(g.cause=='unknown').mean(), cause_if_known=(known.cause==known.truth).mean(), kind_if_known=(known.kind==known.true).mean()))
    table(rows)

def unheard_of(model, args):
    "Each kind left out when the combination is learned"
    normal,test = simulate(min(args.train, 3000), seed=902),simulate(2000, seed=903)
    odd = simulate(args.each*len(KINDS), seed=5010, anomalies={k:args.each for k in KINDS})
    rows = []
    for k in KINDS:
        calibrate(model, normal, kinds=[q for q in KINDS if q!=k])
        a,b = score(model, test, explain=0).anomaly,score(model, odd[np.flatnonzero(odd.meta.anomaly==k)], explain=0).anomaly
        rows.append(dict(kind=k, AUROC=roc_auc_score(np.r_[np.zeros(len(a)),np.ones(len(b))], np.r_[a,b])))
    print('\nAUROC of each kind, amplitude 1, when the combination has never heard of it: mean', round(np.mean([r['AUROC'] for r in rows]), 3))
    table(rows)

def speed(model, args):
    "Stars per second, with reasons for the top hundredth"
    s = simulate(6000, seed=904)
    score(model, s[:256])
    start = time.perf_counter(); t = score(model, s); raw = len(s)/(time.perf_counter()-start)
    with tempfile.TemporaryDirectory() as d:
        from stellar_gen.preprocess import preprocess_store
        from stellar_gen.data import SpectraStore
        SpectraStore.create(Path(d)/"raw", s); preprocess_store(Path(d)/'raw', Path(d)/'ready', model.recipe)
        start = time.perf_counter(); score(model, Path(d)/'ready'); ready = len(s)/(time.perf_counter()-start)
        start = time.perf_counter(); encode(model, Path(d)/'ready'); enc = len(s)/(time.perf_counter()-start)
    print(f'\nScoring, with reasons for {(t.reason!="").sum()} of {len(t):,}: {raw:,.0f} stars/s as read, {ready:,.0f} from a prepared store; encoding alone, for comparison, {enc:,.0f}')

def robust(args):
    "Two stars in a hundred of the training set are odd"
    from stellar_gen.train import finish, spectra_dls, spectra_learner
    from stellar_gen.vae import ElboLoss
    n,bad = 8000,160
    clean = simulate(n, seed=905)
    dirty = simulate(n, seed=905, anomalies={k:-(-bad//len(KINDS)) for k in KINDS})
    order = np.random.default_rng(0).permutation(n)
    test = simulate(1500, seed=906)
    odd = simulate(args.each*len(KINDS), seed=5020, anomalies={k:args.each for k in KINDS})
    rows = []
    for name,data,loss in (('clean',clean,None), ('2 % odd',dirty,None), ("2 % odd, Student's t",dirty,ElboLoss(nu=10))):
        dls = spectra_dls(data[order])
        learn = spectra_learner(dls, **({} if loss is None else dict(loss=loss)))
        with learn.no_bar(),learn.no_logging(): learn.fit_one_cycle(12)
        model = calibrate(finish(learn), data[order][np.sort(dls.splits[1])])
        a,b = score(model, test, explain=0),score(model, odd, explain=0)
        auc = [roc_auc_score(np.r_[np.zeros(len(a)),np.ones((odd.meta.anomaly==k).sum())], np.r_[a.anomaly,b.anomaly[(odd.meta.anomaly==k).to_numpy()]]) for k in KINDS]
        rows.append(dict(training=name, chi2_normal=a.chi2.median(), AUROC=np.mean(auc), least=min(auc), worst=KINDS[int(np.argmin(auc))], flagged_normal=a.flag.mean(), found=(b.p_value<.01).mean()))
    print(f'\nTrained and calibrated on {n:,} stars with and without odd ones among them; AUROC at amplitude 1')
    table(rows)

if __name__=='__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--normal', type=int, default=20_000); p.add_argument('--each', type=int, default=30); p.add_argument('--train', type=int, default=4000)
    p.add_argument('--model', default='apogee-16'); p.add_argument('--skip-robust', action='store_true')
    a = p.parse_args()
    model = load_model(a.model)
    speed(model, a)
    compare(model, a)
    unheard_of(model, a)
    if not a.skip_robust: robust(a)
