"""Common nouns that captions use when they do not name what is shown."""

_WORDS = """
    anchor animal apple apron arm arrow axe bag ball balloon banana band bar barrel basket bat bead beam bean bed bee
    bell belt bench berry bike bin bird biscuit blade blanket block board boat body bolt book boot bowl box brain
    branch brass bread breast brick bridge broom brush bucket building bumper bus butter button cabinet cable cake
    camera can candle cap capacitor capsule car card carpet carrot cart carton case cashew castle cat ceiling cell
    ceramic chain chair chalk cheese chest chip chocolate circle circuit clamp clay clip clock cloth clothing cloud
    coat coating coffee coil coin collar colon column comb component concrete conductor cone connector container
    cookie copper cord cotton couch cover cow crate cream crystal cube cup curtain cushion cutter cylinder deck desk
    device dial diamond diode disc dish display dog doll dome door drawer dress drill drum duct dumpling egg electrode
    element engine envelope eraser eye fabric face fan feather felt fence fender fiber field filament file film filter
    finger fish flag flange flask floor flower foam foil fork frame fruit fryum fuse garment garlic gate glass glove
    goggles grain grape grass grater grid grill grip guitar hair hammer hand handle hanger hat hazelnut head heart
    helmet hinge hook hose house housing ice inductor ink insulator iron item jacket jar jean jelly jewel joint juice
    kettle kidney kite knife knob label lace ladder lamp laptop latch leaf leather leg lemon lens lever lid light lime
    line lipstick liver lock log lung macaroni machine magnet map marble mask mat match material meat medal medicine
    melon metal meter microphone mirror model mold monitor motor mouse mouth mug muscle mushroom nail napkin neck
    necklace needle net noodle nose notebook nozzle nut oak oil onion opening orange organ oven package pad paint pan
    panel paper part pasta paste path pavement pea peach pear pebble pen pencil pepper phone photo piano piece pillow
    pin pipe pizza plane plank plant plaster plastic plate platform plug pocket pole polymer porcelain pot potato
    powder print printer product pump purse puzzle quilt rack radio rail rice ring road rock rod roller roof room rope
    rose rotor rubber rug ruler sack sail salad salt sand sausage saw scale scan scarf scissors screen screw seal seat
    sensor shaft sheet shelf shell shield ship shirt shoe shovel shower sign silicon silk silver sink skin skirt sky
    slab slate sleeve slide soap sock socket soil solar soup spark speaker sphere spice spine spindle spiral sponge
    spoon spring square stair stamp star steel stem step stick stomach stone stool stove strap straw street strip
    structure sugar suit surface sweater switch table tank tap tape tea teeth tent textile texture thing thread
    thyroid tie tile timber tin tire toast tomato tool toothbrush towel tower toy track train transistor tray tree
    triangle truck tube tumbler tunnel turbine valve vase vegetable vehicle velvet vessel vial violin wafer wagon wall
    wallet walnut washer watch water wax weave wedge wheel window wing wire wood wool wrapper wrench yarn zipper badge
    bearing bracket buckle commutator conveyor cookware cosmetics crankshaft electronics enamel fastener graphite
    hardware hazel headlight keypad leash mesh module piston pouch rivet sample sawdust specimen subject syringe
    thermometer turf varnish workpiece
"""

NOUNS = _WORDS.split()
