-- places(place, kind, cell): one row per place, and the grid cell that its point lies in.
--
-- live_places(place, kind, lat, lon, …)               as the evidence gives it
-- $metres                                             side of a cell
--
-- The globe is cut into bands of $metres from the south pole up; each band into the whole number of cells that comes
-- nearest to $metres at the middle of the band. 111319.49079327358 is a degree of the equator in metres. The same
-- formula, operation by operation, is kangma.tracing.grid.cell.
with points as (
    -- Two senders may place one place differently; the choice must not depend on who came first.
    select
        place,
        kind,
        cast(lat as double) as lat,
        cast(lon as double) as lon,
        row_number() over (partition by place order by lat, lon, kind) as turn
    from live_places
),

bands as (
    select
        place,
        kind,
        lon,
        floor((lat + 90e0) * 111319.49079327358e0 / cast($metres as double)) as band
    from points
    where turn = 1
),

sliced as (
    select
        place,
        kind,
        lon,
        band,
        greatest(
            floor(
                360e0 * 111319.49079327358e0
                * cos(
                    ((band + 0.5e0) * cast($metres as double) / 111319.49079327358e0 - 90e0) * 0.017453292519943295e0
                ) / cast($metres as double)
                + 0.5e0
            ),
            1e0
        ) as slices
    from bands
)

select
    place,
    kind,
    cast(band as bigint) * 10000000
    + cast(floor((lon + 180e0) * slices / 360e0) as bigint) % cast(slices as bigint) as cell
from sliced
order by place
