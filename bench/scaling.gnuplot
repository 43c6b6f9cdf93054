# Draws what script/scaling has measured, and the alpha-beta model of it, from 1 to 4,096 ranks. Run in a folder with
# exchange.csv (ranks, bytes, us) and step.csv (ranks, alone ms, synchronized ms, waited ms, exchanges, bytes).
set datafile separator ','
set fit quiet
set fit logfile '/dev/null'

# Two ranks, one round: alpha + beta * bytes.
alpha = 5.0; beta = 0.001
line(m) = alpha + beta * m
fit line(x) 'exchange.csv' using ($1 == 2 ? $2 : NaN):3 via alpha, beta

frame = 33128.0     # 2,048 channels, the largest layer of ResNet-50
exchanges = 106.0   # 53 layers, forward and backward
rounds(p) = ceil(log(p) / log(2) - 1e-9)
tree(p, m) = rounds(p) * (alpha + beta * m)
ring(p, m) = 2 * (p - 1) * alpha + 2 * (p - 1) / p * beta * m
share(p, step_ms, t) = 100 * exchanges * t / (1e3 * step_ms + exchanges * t)

print sprintf('alpha %.2f us, beta %.4f ns/byte (%.2f GB/s)', alpha, beta * 1e3, 1e-3 / beta)
do for [p in "2 3 4 8 64 1024 4096"] {
  print sprintf('%s ranks: tree %.1f us, ring %.1f us; a step 1,000 ms: %.2f %%, 100 ms: %.2f %%', p, \
    tree(p + 0.0, frame), ring(p + 0.0, frame), share(p + 0.0, 1000, tree(p + 0.0, frame)), \
    share(p + 0.0, 100, tree(p + 0.0, frame)))
}

set terminal pngcairo size 1500,600 font 'DejaVu Sans,11'
set output 'scaling.png'
set multiplot layout 1,2
set logscale xy
set grid
set key top left
set samples 400
set xrange [1.5:4096]
set xtics (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096) rotate by 45 right
set xlabel 'ranks'
set ylabel 'one exchange of 33,128 bytes, microseconds'
set title 'Measured on 2 cores, which more ranks share, and the model'
plot tree(x, frame) title 'model: tree' lw 2, ring(x, frame) title 'model: ring' lw 2 dt 2, \
     'exchange.csv' using ($2 == 33128 ? $1 : NaN):3 title 'measured' with points pt 7 ps 1.4 lc rgb 'black'
set ylabel 'exchanges without overlap, percent of a step'
set title 'ResNet-50: 106 exchanges a step, tree'
set yrange [0.01:1000]
set ytics (0.01, 0.1, 1, 10, 100)
set key top left maxrows 3
plot share(x, 10000, tree(x, frame)) title 'a step of 10 s' lw 2, share(x, 1000, tree(x, frame)) title '1 s' lw 2, \
     share(x, 100, tree(x, frame)) title '100 ms' lw 2, share(x, 30, tree(x, frame)) title '30 ms' lw 2, \
     5 title '5 %' lc rgb 'gray' dt 3 lw 2
unset multiplot
